import Tensors

extension Dataset {
  /// Makes a data set of examples with classes from arrays in memory. A random part of them becomes the test split.
  ///
  ///     let data = try Dataset(inputs: pixels, shape: [8, 8, 1], labels: digits)
  ///
  /// The choice of test examples depends only on the number of examples and `testFraction`. Both splits keep the
  /// order of the arrays. If the splits are given, use `init(name:training:test:)`.
  /// - Parameters:
  ///   - name: The name of the data in messages, listings and stored runs.
  ///   - inputs: The features in the shape [example, …shape], row-major.
  ///   - shape: The shape of one example, channels last.
  ///   - labels: The classes, counted from 0, in the shape [example, …targetShape], row-major.
  ///   - classCount: The number of classes; nil for one more than the largest label.
  ///   - targetShape: [] for one class per example, [positions] for one at each position.
  ///   - testFraction: The fraction of examples in the test split, above 0 and below 1.
  /// - Throws: `DatasetError.impossible` if the counts disagree, a label is not a class, an input is not finite, or a
  ///   split would be empty.
  public init(
    name: String = "memory", inputs: [Float], shape: [Int], labels: [Int], classCount: Int? = nil,
    targetShape: [Int] = [], testFraction: Double = 0.2
  ) throws(DatasetError) {
    if let index = labels.firstIndex(where: { $0 < 0 || $0 >= Int(Int32.max) }) {
      throw .impossible("\(name): label \(labels[index]) at index \(index) is no class; number classes 0, 1, 2, …")
    }
    let classes = classCount ?? (labels.max() ?? 0) + 1
    let split = try Split(name: name, inputs: inputs, shape: shape, targetShape: targetShape, testFraction: testFraction)
    try split.check(targets: labels.count)
    func examples(_ indices: [Int]) throws(DatasetError) -> Examples {
      try Examples(
        floats: split.inputs(indices), exampleShape: shape, labels: split.targets(indices, of: labels).map { Int32($0) },
        classCount: classes, targetShape: targetShape)
    }
    try self.init(name: name, training: examples(split.training), test: examples(split.test))
  }

  /// Makes a data set of examples with real-valued targets from arrays in memory. A random part of them becomes the
  /// test split.
  ///
  /// The choice of test examples depends only on the number of examples and `testFraction`. Both splits keep the
  /// order of the arrays. Nothing is scaled: the network learns the values as they are.
  /// - Parameters:
  ///   - name: The name of the data in messages, listings and stored runs.
  ///   - inputs: The features in the shape [example, …shape], row-major.
  ///   - shape: The shape of one example, channels last.
  ///   - values: The targets in the shape [example, …targetShape], row-major.
  ///   - targetShape: [] for one value per example, [k] for k values, [positions] for one at each position.
  ///   - testFraction: The fraction of examples in the test split, above 0 and below 1.
  /// - Throws: `DatasetError.impossible` if the counts disagree, an input or a target is not finite, or a split would
  ///   be empty.
  public init(
    name: String = "memory", inputs: [Float], shape: [Int], values: [Float], targetShape: [Int] = [],
    testFraction: Double = 0.2
  ) throws(DatasetError) {
    if let index = values.firstIndex(where: { !$0.isFinite }) {
      throw .impossible("\(name): the target at index \(index) is \(values[index]); replace it, or leave out its example")
    }
    let split = try Split(name: name, inputs: inputs, shape: shape, targetShape: targetShape, testFraction: testFraction)
    try split.check(targets: values.count)
    func examples(_ indices: [Int]) throws(DatasetError) -> Examples {
      try Examples(
        floats: split.inputs(indices), exampleShape: shape, values: split.targets(indices, of: values),
        targetShape: targetShape)
    }
    try self.init(name: name, training: examples(split.training), test: examples(split.test))
  }
}

/// The division of arrays of examples into a training and a test split.
private struct Split {
  let name: String
  let training: [Int]
  let test: [Int]
  private let allInputs: [Float]
  private let featureCount: Int
  private let targetCount: Int

  init(
    name: String, inputs: [Float], shape: [Int], targetShape: [Int], testFraction: Double
  ) throws(DatasetError) {
    guard !shape.isEmpty, let featureCount = shape.product, featureCount > 0, let targetCount = targetShape.product,
      targetCount > 0
    else {
      throw .impossible(
        """
        \(name): examples of shape \(shape) with targets of shape \(targetShape) can't be: an example needs one extent or more, \
        and each extent must be at least 1
        """)
    }
    guard inputs.count.isMultiple(of: featureCount) else {
      throw .impossible(
        "\(name): \(inputs.count) inputs are no whole number of examples of shape \(shape), \(featureCount) each")
    }
    if let index = inputs.firstIndex(where: { !$0.isFinite }) {
      throw .impossible("\(name): the input at index \(index) is \(inputs[index]); replace it, or leave out its example")
    }
    let count = inputs.count / featureCount
    guard testFraction > 0, testFraction < 1, count >= 2 else {
      throw .impossible(
        """
        \(name): \(count) examples can't be parted with \(testFraction) of them to test on; give 2 or more, and a fraction above 0 \
        and below 1
        """)
    }
    let testCount = min(count - 1, max(1, Int((testFraction * Double(count)).rounded())))
    let permutation = KeyedPermutation(count: count, source: RandomSource(seed: 0, purpose: .splitting), index: 0)
    let test = Set((0..<testCount).map { permutation($0) })
    self.test = test.sorted()
    training = (0..<count).filter { !test.contains($0) }
    self.name = name
    allInputs = inputs
    self.featureCount = featureCount
    self.targetCount = targetCount
  }

  func check(targets given: Int) throws(DatasetError) {
    let count = training.count + test.count
    guard given == count * targetCount else {
      throw .impossible(
        "\(name): \(count) examples need \(targetCount) targets each, but \(given) are given; give each example its own")
    }
  }

  func inputs(_ indices: [Int]) -> [Float] {
    indices.flatMap { allInputs[$0 * featureCount..<($0 + 1) * featureCount] }
  }

  func targets<Target>(_ indices: [Int], of all: [Target]) -> [Target] {
    indices.flatMap { all[$0 * targetCount..<($0 + 1) * targetCount] }
  }
}
