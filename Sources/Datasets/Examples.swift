import Tensors

/// One split of a data set. Bytes are converted only when a batch is gathered, so that pixels take a quarter of the
/// memory, and windows of a text share its characters. Large splits stay in their files, and a batch reads its own
/// examples.
public struct Examples: Sendable {
  private enum Content: Sendable {
    /// The features of all examples, one example after the other, each in the shape `exampleShape`, row-major.
    case bytes([UInt8], divisor: Float)
    case floats([Float])
    /// Windows of a text. The targets are the characters that follow each character of a window.
    case windows(TextWindows)
    /// Features, and targets with them, in files.
    case rows(StoredRows)
  }

  private let content: Content

  /// Whether targets are classes or real values.
  public let targetKind: Targets.Kind

  /// The shape of one example's targets: [] for a single one, [k] for k values, [positions] for one at each position.
  public let targetShape: [Int]

  /// The classes of all examples, one example after the other, in 0 ..< `classCount`. Empty if targets are values, for
  /// windows of a text, whose classes are its characters, and for examples in files.
  public let labels: [Int32]

  /// The targets of all examples, one example after the other, if they are values; otherwise empty, as it is for
  /// examples in files.
  public let values: [Float]

  /// The shape of one example, channels last: [28, 28, 1] for a grey image, [d] for a row of a table, [context] for a
  /// window of a text.
  public let exampleShape: [Int]

  /// The number of classes, whether or not all of them occur in this split; nil if targets are values.
  public let classCount: Int?

  /// The number of features of an example: the product of `exampleShape`.
  public let featureCount: Int

  /// The number of targets of an example: the product of `targetShape`.
  public let targetCount: Int

  public let count: Int

  /// Makes examples with classes whose features are `bytes`, divided by `divisor` when they are gathered.
  /// - Parameters:
  ///   - bytes: The features in the shape [example, …exampleShape], row-major.
  ///   - labels: The classes in the shape [example, …targetShape], row-major.
  /// - Throws: `DatasetError.impossible` if the counts disagree or a label is not a class.
  public init(
    bytes: [UInt8], dividedBy divisor: Float, exampleShape: [Int], labels: [Int32], classCount: Int, targetShape: [Int] = []
  ) throws(DatasetError) {
    try self.init(
      .bytes(bytes, divisor: divisor), valueCount: bytes.count, exampleShape: exampleShape,
      targets: .classes(labels, classCount), targetShape: targetShape)
  }

  /// Makes examples with classes whose features are `floats`.
  /// - Parameters:
  ///   - floats: The features in the shape [example, …exampleShape], row-major.
  ///   - labels: The classes in the shape [example, …targetShape], row-major.
  /// - Throws: `DatasetError.impossible` if the counts disagree or a label is not a class.
  public init(
    floats: [Float], exampleShape: [Int], labels: [Int32], classCount: Int, targetShape: [Int] = []
  ) throws(DatasetError) {
    try self.init(
      .floats(floats), valueCount: floats.count, exampleShape: exampleShape, targets: .classes(labels, classCount),
      targetShape: targetShape)
  }

  /// Makes examples with real-valued targets whose features are `bytes`, divided by `divisor` when they are gathered.
  /// - Parameters:
  ///   - bytes: The features in the shape [example, …exampleShape], row-major.
  ///   - values: The targets in the shape [example, …targetShape], row-major.
  /// - Throws: `DatasetError.impossible` if the counts disagree.
  public init(
    bytes: [UInt8], dividedBy divisor: Float, exampleShape: [Int], values: [Float], targetShape: [Int] = []
  ) throws(DatasetError) {
    try self.init(
      .bytes(bytes, divisor: divisor), valueCount: bytes.count, exampleShape: exampleShape, targets: .values(values),
      targetShape: targetShape)
  }

  /// Makes examples with real-valued targets whose features are `floats`.
  /// - Parameters:
  ///   - floats: The features in the shape [example, …exampleShape], row-major.
  ///   - values: The targets in the shape [example, …targetShape], row-major.
  /// - Throws: `DatasetError.impossible` if the counts disagree.
  public init(
    floats: [Float], exampleShape: [Int], values: [Float], targetShape: [Int] = []
  ) throws(DatasetError) {
    try self.init(
      .floats(floats), valueCount: floats.count, exampleShape: exampleShape, targets: .values(values),
      targetShape: targetShape)
  }

  private enum GivenTargets {
    case classes([Int32], Int)
    case values([Float])
  }

  private init(
    _ content: Content, valueCount: Int, exampleShape: [Int], targets: GivenTargets, targetShape: [Int]
  ) throws(DatasetError) {
    guard !exampleShape.isEmpty, let featureCount = exampleShape.product, featureCount > 0 else {
      throw .impossible("examples can't have the shape \(exampleShape): it needs one extent or more, each of at least 1")
    }
    guard let targetCount = targetShape.product, targetCount > 0 else {
      throw .impossible("targets can't have the shape \(targetShape): each extent must be at least 1")
    }
    guard valueCount.isMultiple(of: featureCount) else {
      throw .impossible("\(valueCount) values are no whole number of examples of shape \(exampleShape), \(featureCount) each")
    }
    count = valueCount / featureCount
    let given: Int
    switch targets {
    case .classes(let labels, let classCount):
      if let index = labels.firstIndex(where: { $0 < 0 || $0 >= classCount }) {
        throw .impossible(
          "example \(index / targetCount) has label \(labels[index]), but the classes are 0 to \(classCount - 1)")
      }
      (targetKind, self.labels, values, self.classCount, given) = (.classes, labels, [], classCount, labels.count)
    case .values(let values):
      (targetKind, labels, self.values, classCount, given) = (.values, [], values, nil, values.count)
    }
    let (wanted, overflow) = count.multipliedReportingOverflow(by: targetCount)
    guard !overflow, given == wanted else {
      throw .impossible(
        "\(count) examples with targets of shape \(targetShape) need \(targetCount) targets each, but \(given) are given")
    }
    self.content = content
    self.exampleShape = exampleShape
    self.featureCount = featureCount
    self.targetShape = targetShape
    self.targetCount = targetCount
  }

  /// Makes examples of rows in files, each with one target.
  /// - Parameter classCount: The number of classes; nil if targets are values.
  init(rows: StoredRows, exampleShape: [Int], classCount: Int?) {
    content = .rows(rows)
    (targetKind, labels, values, self.classCount) = (classCount == nil ? .values : .classes, [], [], classCount)
    (self.exampleShape, featureCount) = (exampleShape, rows.featureCount)
    (targetShape, targetCount) = ([], 1)
    count = rows.count
  }

  /// Makes windows of a text: features are the numbers of characters, the label at each position is the next
  /// character.
  init(windows: TextWindows, classCount: Int) {
    content = .windows(windows)
    (targetKind, labels, values, self.classCount) = (.classes, [], [], classCount)
    (exampleShape, featureCount) = ([windows.context], windows.context)
    (targetShape, targetCount) = ([windows.context], windows.context)
    count = windows.count
  }

  /// The size in bytes that features and targets take in memory. What is in files does not count.
  public var byteCount: Int {
    let targetBytes = labels.count * MemoryLayout<Int32>.stride + values.count * MemoryLayout<Float>.stride
    return switch content {
    case .bytes(let bytes, _): bytes.count + targetBytes
    case .floats(let floats): floats.count * MemoryLayout<Float>.stride + targetBytes
    case .windows(let windows): windows.text.byteCount
    case .rows(let rows): rows.byteCount
    }
  }

  /// A target outside `range` if targets are values and there is one.
  public func value(outside range: ClosedRange<Float>) -> Float? {
    guard case .rows(let rows) = content else { return values.first { !range.contains($0) } }
    return rows.valueRange.flatMap { values in [values.lowerBound, values.upperBound].first { !range.contains($0) } }
  }

  /// Writes the features of example `indices[r]` to row r of `inputs` and its targets to row r of `targets`, for each
  /// r in 0 ..< `indices.count`. Further rows stay unchanged. This allocates no memory, or where examples are in files
  /// that of one example.
  /// - Parameters:
  ///   - inputs: A matrix of the shape [at least `indices.count`, `featureCount`].
  ///   - targets: Targets of this kind, at least `indices.count` · `targetCount` of them, row by row.
  ///   - augmentation: The random changes of images in this batch; nil for none. They do not affect targets.
  /// - Throws: `DatasetError.failed` if examples are in files and these can't be read, or are not what they were when the
  ///   data set was loaded. What was written then means nothing.
  public func gather(
    _ indices: [Int], into inputs: MutableMatrix, targets: inout Targets, augmentation: Augmentation.Batch? = nil
  ) throws(DatasetError) {
    precondition(inputs.columns == featureCount, "\(featureCount) features do not fit a row of \(inputs.columns)")
    precondition(
      inputs.rows >= indices.count && targets.kind == targetKind && targets.count >= indices.count * targetCount,
      "more indices than rows or targets")
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
      }
      gatherTargets(indices, into: &targets)
    case .floats(let floats):
      for row in 0..<indices.count {
        let features = floats.span.extracting(range(of: indices[row]))
        if let augmentation {
          augmentation.move(row: row, into: inputs[row: row]) { features[$0] }
        } else {
          inputs[row: row].copy(floats: features)
        }
      }
      gatherTargets(indices, into: &targets)
    case .windows(let windows):
      try windows.gather(indices, classCount: classCount ?? 0, into: inputs, targets: &targets)
    case .rows(let rows):
      try rows.gather(indices, classCount: classCount, into: inputs, targets: &targets, augmentation: augmentation)
    }
  }

  private func gatherTargets(_ indices: [Int], into targets: inout Targets) {
    for row in 0..<indices.count {
      let (from, to) = (indices[row] * targetCount, row * targetCount)
      switch targetKind {
      case .classes: for offset in 0..<targetCount { targets.classes[to + offset] = labels[from + offset] }
      case .values: for offset in 0..<targetCount { targets.values[to + offset] = values[from + offset] }
      }
    }
  }

  /// The range of the features of example `index`.
  private func range(of index: Int) -> Range<Int> { index * featureCount..<(index + 1) * featureCount }

  /// Adds shapes, classes, targets, features and divisor to a digest. It is the same whether examples are in memory or in
  /// files.
  /// - Throws: `DatasetError.damaged` if a token is outside the vocabulary, and `.failed` if a file can't be read.
  func add(to digest: inout DigestBuilder) throws(DatasetError) {
    digest.add(exampleShape.count)
    for extent in exampleShape { digest.add(extent) }
    // No data with classes have 0 of them, so 0 stands for none.
    digest.add(classCount ?? 0)
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
      try windows.text.add(to: &digest, below: classCount ?? 0)
      return
    case .rows(let rows):
      try rows.addLabels(targetKind, to: &digest)
      try rows.addFeatures(to: &digest)
    }
    guard targetKind == .values || !targetShape.isEmpty else { return }
    digest.add(targetShape.count)
    for extent in targetShape { digest.add(extent) }
    digest.add(values.span.bytes)
    if case .rows(let rows) = content { try rows.addTargets(to: &digest) }
  }
}
