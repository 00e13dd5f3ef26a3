import Tensors

/// The rows of one split of a table. What must be known of all of them is noted as they are appended, since they may
/// not be in memory later.
struct CSVRows: ~Copyable {
  /// Row after row: the features, with NaN for missing values, then the target, or its bits if it is a class.
  private var cells: Collector<Float>
  /// The number of features.
  private let width: Int
  private let targets: Targets.Kind
  private(set) var count = 0
  /// The sum and the number of the values of each feature, without the missing ones; summed in double precision from
  /// the first row to the last.
  private(set) var sums: [Double]
  private(set) var valueCounts: [Int]
  /// The labels that occur.
  private(set) var labels: Set<Int32> = []
  private var range: ClosedRange<Float>?

  init(path: String, width: Int, targets: Targets.Kind, room: Int) {
    cells = Collector(path: path, room: room)
    self.width = width
    self.targets = targets
    sums = [Double](repeating: 0, count: width)
    valueCounts = [Int](repeating: 0, count: width)
  }

  /// - Parameter row: The features and the target, or its bits.
  mutating func append(_ row: [Float]) throws(DatasetError) {
    for feature in 0..<width where !row[feature].isNaN {
      sums[feature] += Double(row[feature])
      valueCounts[feature] += 1
    }
    switch targets {
    case .classes: labels.insert(Self.label(row[width]))
    case .values: range = range.map { min($0.lowerBound, row[width])...max($0.upperBound, row[width]) } ?? row[width]...row[width]
    }
    try cells.append(row)
    count += 1
  }

  /// - Parameters:
  ///   - classCount: The number of classes; nil if targets are values.
  ///   - means: What takes the place of missing values; nil if there are none.
  ///   - room: The largest size in bytes that stays in memory. It is reduced by what does.
  mutating func examples(classCount: Int?, means: [Float]?, room: inout Int) throws(DatasetError) -> Examples {
    switch try cells.finish(room: &room) {
    case .file(let file):
      let rows = StoredRows(
        parts: [StoredRows.Part(file: file, offset: 0, count: count)], form: .floats(means: means, range: range),
        featureCount: width)
      return Examples(rows: rows, exampleShape: [width], classCount: classCount)
    case .memory(let cells):
      var features: [Float] = []
      features.reserveCapacity(count * width)
      for row in 0..<count {
        for feature in 0..<width {
          let value = cells[row * (width + 1) + feature]
          features.append(value.isNaN ? means?[feature] ?? value : value)
        }
      }
      let targets = stride(from: width, to: cells.count, by: width + 1).map { cells[$0] }
      guard let classCount else { return try Examples(floats: features, exampleShape: [width], values: targets) }
      return try Examples(floats: features, exampleShape: [width], labels: targets.map(Self.label), classCount: classCount)
    }
  }

  private static func label(_ target: Float) -> Int32 { Int32(bitPattern: target.bitPattern) }
}
