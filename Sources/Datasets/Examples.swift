import Tensors

/// One split of a data set. Bytes stay bytes until a batch is gathered, so that pixels take a quarter of the memory, and
/// windows of a text share its characters.
public struct Examples: Sendable {
  private enum Content: Sendable {
    /// Example after example, each `exampleShape` row-major, with a class each.
    case bytes([UInt8], divisor: Float)
    case floats([Float])
    /// Windows of a text, with the characters that follow each of theirs.
    case windows(TextWindows)
  }

  private let content: Content

  /// The class of each example, in 0 ..< `classCount`; empty for windows of a text, whose labels are characters of it.
  public let labels: [Int32]

  /// The shape of one example, channels last: [28, 28, 1] for a grey image, [d] for a row of a table, [context] for a
  /// window of a text.
  public let exampleShape: [Int]

  /// How many classes there are, whether or not each occurs in this split.
  public let classCount: Int

  /// Floats in an example: the product of `exampleShape`.
  public let featureCount: Int

  public let count: Int

  /// Examples whose features are `bytes`, divided by `divisor` when they are gathered.
  /// - Parameter bytes: [example, …exampleShape], row-major.
  /// - Throws: `DatasetError.impossible` when the counts disagree or a label is no class.
  public init(
    bytes: [UInt8], dividedBy divisor: Float, exampleShape: [Int], labels: [Int32], classCount: Int
  ) throws(DatasetError) {
    try self.init(
      .bytes(bytes, divisor: divisor), valueCount: bytes.count, exampleShape: exampleShape, labels: labels,
      classCount: classCount)
  }

  /// Examples whose features are `floats`.
  /// - Parameter floats: [example, …exampleShape], row-major.
  /// - Throws: `DatasetError.impossible` when the counts disagree or a label is no class.
  public init(floats: [Float], exampleShape: [Int], labels: [Int32], classCount: Int) throws(DatasetError) {
    try self.init(
      .floats(floats), valueCount: floats.count, exampleShape: exampleShape, labels: labels, classCount: classCount)
  }

  private init(
    _ content: Content, valueCount: Int, exampleShape: [Int], labels: [Int32], classCount: Int
  ) throws(DatasetError) {
    guard let featureCount = exampleShape.product, featureCount > 0 else {
      throw .impossible("examples can't have the shape \(exampleShape): each extent must be at least 1")
    }
    guard valueCount == labels.count * featureCount else {
      throw .impossible(
        "\(valueCount) values are not \(labels.count) examples of \(featureCount): give each example its label")
    }
    if let index = labels.firstIndex(where: { $0 < 0 || $0 >= classCount }) {
      throw .impossible("example \(index) has label \(labels[index]), but the classes are 0 to \(classCount - 1)")
    }
    self.content = content
    self.labels = labels
    self.exampleShape = exampleShape
    self.classCount = classCount
    self.featureCount = featureCount
    count = labels.count
  }

  /// Windows of a text: features are character numbers, the label at each position is the character that follows.
  init(windows: TextWindows, classCount: Int) {
    content = .windows(windows)
    labels = []
    exampleShape = [windows.context]
    self.classCount = classCount
    featureCount = windows.context
    count = windows.count
  }

  /// Labels an example has: 1, or one for each position of a window.
  public var labelsPerExample: Int {
    if case .windows(let windows) = content { windows.context } else { 1 }
  }

  /// Resident bytes of the features and labels.
  public var byteCount: Int {
    let labelBytes = labels.count * MemoryLayout<Int32>.stride
    return switch content {
    case .bytes(let bytes, _): bytes.count + labelBytes
    case .floats(let floats): floats.count * MemoryLayout<Float>.stride + labelBytes
    case .windows(let windows): windows.characters.count * MemoryLayout<UInt16>.stride
    }
  }

  /// Writes the features of example `indices[r]` to row r of `inputs` and its labels to those of row r, for each r in
  /// 0 ..< `indices.count`; further rows stay as they are. Allocates nothing.
  /// - Parameters:
  ///   - inputs: [at least `indices.count`, `featureCount`]
  ///   - labels: at least `indices.count` · `labelsPerExample` long, row by row
  ///   - augmentation: how images change, and for which batch; nil leaves them as they are.
  public func gather(
    _ indices: [Int], into inputs: Matrix, labels: inout [Int32], augmentation: Augmentation.Batch? = nil
  ) {
    precondition(inputs.columns == featureCount, "\(featureCount) features do not fit a row of \(inputs.columns)")
    precondition(
      inputs.rows >= indices.count && labels.count >= indices.count * labelsPerExample, "more indices than rows or labels")
    switch content {
    case .bytes(let bytes, let divisor):
      for index in indices { prefetch(bytes.span.extracting(range(of: index)).bytes) }
      for row in 0..<indices.count {
        let features = bytes.span.extracting(range(of: indices[row]))
        if let augmentation {
          augmentation.move(row: row, into: inputs[row: row]) { Float(features[$0]) / divisor }
        } else {
          inputs[row: row].copy(bytes: features, dividedBy: divisor)
        }
        labels[row] = self.labels[indices[row]]
      }
    case .floats(let floats):
      for row in 0..<indices.count {
        let features = floats.span.extracting(range(of: indices[row]))
        if let augmentation {
          augmentation.move(row: row, into: inputs[row: row]) { features[$0] }
        } else {
          inputs[row: row].copy(floats: features)
        }
        labels[row] = self.labels[indices[row]]
      }
    case .windows(let windows):
      for row in 0..<indices.count {
        let start = windows.start(of: indices[row])
        for position in 0..<windows.context {
          inputs[row: row][position] = Float(windows.characters[start + position])
          labels[row * windows.context + position] = Int32(windows.characters[start + position + 1])
        }
      }
    }
  }

  /// Where the features of example `index` lie.
  private func range(of index: Int) -> Range<Int> { index * featureCount..<(index + 1) * featureCount }

  /// Adds shape, classes, labels, features and divisor.
  func add(to digest: inout DigestBuilder) {
    digest.add(exampleShape.count)
    for extent in exampleShape { digest.add(extent) }
    digest.add(classCount)
    digest.add(count)
    digest.add(labels.span.bytes)
    switch content {
    case .bytes(let bytes, let divisor):
      digest.add(Int(divisor.bitPattern))
      digest.add(bytes.span.bytes)
    case .floats(let floats):
      digest.add(0)
      digest.add(floats.span.bytes)
    case .windows(let windows):
      digest.add(windows.stride)
      digest.add(windows.characters.span.bytes)
    }
  }
}

/// Windows of `context` characters of a text, `stride` characters apart, each with the character behind it.
struct TextWindows: Sendable {
  /// As numbers in the text's vocabulary.
  let characters: [UInt16]
  let context: Int
  let stride: Int

  var count: Int { max(0, (characters.count - context - 1) / stride + 1) }

  func start(of index: Int) -> Int { index * stride }
}
