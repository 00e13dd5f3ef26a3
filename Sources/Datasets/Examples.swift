import Tensors

/// One split of a data set: features and classes of its examples. Bytes stay bytes until a batch is gathered, so that
/// pixels take a quarter of the memory.
public struct Examples: Sendable {
  /// Example after example, each `exampleShape` row-major.
  enum Features: Sendable {
    case bytes([UInt8], divisor: Float)
    case floats([Float])

    var count: Int {
      switch self {
      case .bytes(let bytes, _): bytes.count
      case .floats(let floats): floats.count
      }
    }
  }

  private let features: Features

  /// The class of each example, in 0 ..< `classCount`.
  public let labels: [Int32]

  /// The shape of one example, channels first: [1, 28, 28] for a grey image, [d] for a row of a table.
  public let exampleShape: [Int]

  /// How many classes there are, whether or not each occurs in this split.
  public let classCount: Int

  /// Floats in an example: the product of `exampleShape`.
  public let featureCount: Int

  /// Examples whose features are `bytes`, divided by `divisor` when they are gathered.
  /// - Parameter bytes: [example, …exampleShape], row-major.
  /// - Throws: `DatasetError.impossible` when the counts disagree or a label is no class.
  public init(
    bytes: [UInt8], dividedBy divisor: Float, exampleShape: [Int], labels: [Int32], classCount: Int
  ) throws(DatasetError) {
    try self.init(.bytes(bytes, divisor: divisor), exampleShape: exampleShape, labels: labels, classCount: classCount)
  }

  /// Examples whose features are `floats`.
  /// - Parameter floats: [example, …exampleShape], row-major.
  /// - Throws: `DatasetError.impossible` when the counts disagree or a label is no class.
  public init(floats: [Float], exampleShape: [Int], labels: [Int32], classCount: Int) throws(DatasetError) {
    try self.init(.floats(floats), exampleShape: exampleShape, labels: labels, classCount: classCount)
  }

  private init(_ features: Features, exampleShape: [Int], labels: [Int32], classCount: Int) throws(DatasetError) {
    guard let featureCount = exampleShape.product, featureCount > 0 else {
      throw .impossible("examples can't have the shape \(exampleShape): each extent must be at least 1")
    }
    guard features.count == labels.count * featureCount else {
      throw .impossible(
        "\(features.count) values are not \(labels.count) examples of \(featureCount): give each example its label")
    }
    if let index = labels.firstIndex(where: { $0 < 0 || $0 >= classCount }) {
      throw .impossible("example \(index) has label \(labels[index]), but the classes are 0 to \(classCount - 1)")
    }
    self.features = features
    self.labels = labels
    self.exampleShape = exampleShape
    self.classCount = classCount
    self.featureCount = featureCount
  }

  public var count: Int { labels.count }

  /// Resident bytes of the features and labels.
  public var byteCount: Int {
    let labelBytes = labels.count * MemoryLayout<Int32>.stride
    return switch features {
    case .bytes(let bytes, _): bytes.count + labelBytes
    case .floats(let floats): floats.count * MemoryLayout<Float>.stride + labelBytes
    }
  }

  /// Writes the features of example `indices[r]` to row r of `inputs` and its class to `labels[r]`, for each r in
  /// 0 ..< `indices.count`; further rows stay as they are. Allocates nothing.
  /// - Parameters:
  ///   - inputs: [at least `indices.count`, `featureCount`]
  ///   - labels: at least `indices.count` long
  public func gather(_ indices: Span<Int>, into inputs: Matrix, labels: inout [Int32]) {
    precondition(inputs.columns == featureCount, "\(featureCount) features do not fit a row of \(inputs.columns)")
    precondition(inputs.rows >= indices.count && labels.count >= indices.count, "more indices than rows or labels")
    switch features {
    case .bytes(let bytes, let divisor):
      for row in 0..<indices.count {
        inputs[row: row].copy(bytes: bytes.span.extracting(range(of: indices[row])), dividedBy: divisor)
      }
    case .floats(let floats):
      for row in 0..<indices.count {
        inputs[row: row].copy(floats: floats.span.extracting(range(of: indices[row])))
      }
    }
    for row in 0..<indices.count { labels[row] = self.labels[indices[row]] }
  }

  /// Writes the examples at `indices` to the rows of `inputs`, as `gather` does for a span of them.
  public func gather(_ indices: [Int], into inputs: Matrix, labels: inout [Int32]) {
    gather(indices.span, into: inputs, labels: &labels)
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
    switch features {
    case .bytes(let bytes, let divisor):
      digest.add(Int(divisor.bitPattern))
      digest.add(bytes.span.bytes)
    case .floats(let floats):
      digest.add(0)
      digest.add(floats.span.bytes)
    }
  }
}

extension [Int] {
  /// The product of the extents of a shape; nil where one is negative or the product overflows.
  var product: Int? {
    var product = 1
    for extent in self {
      let (next, overflow) = product.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !overflow else { return nil }
      product = next
    }
    return product
  }
}
