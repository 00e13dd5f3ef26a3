import Tensors

/// What is looked at in a network's outputs on test examples: the loss, the accuracy, or something of your own.
///
///     /// The largest distance of a prediction from its target.
///     struct LargestError: Measure {
///       let name = "testLargestError"
///       func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double]) {
///         for i in 0..<outputs.elements.count {
///           sums[0] = max(sums[0], Double(abs(outputs.elements[i] - targets.values[i])))
///         }
///       }
///       func value(_ sums: [Double], predictions: Int) -> Double { sums[0] }
///     }
public protocol Measure: Sendable {
  /// A name that no other measure of the same evaluation has, such as `testAccuracy`.
  var name: String { get }

  /// Unit of its values, such as `nats`; empty where they have none.
  var unit: String { get }

  /// Whether of two iterates the one with the smaller value is the better.
  var isLessBetter: Bool { get }

  /// The values it can have.
  var range: ClosedRange<Double> { get }

  /// The kind of targets it compares outputs with; nil, the default, for any.
  var targetKind: Targets.Kind? { get }

  /// How many numbers it keeps from batch to batch, for predictions of `outputs` numbers.
  func sumCount(outputs: Int) -> Int

  /// Takes consecutive predictions of a batch into what it keeps: all of them, or some where there is no memory for all at
  /// once. No bit of the value may depend on how a batch is divided.
  /// - Parameters:
  ///   - outputs: predictions × numbers of each.
  ///   - targets: those of row r from r · the loss's `targetCount` on; there may be more behind those of the last row.
  ///   - sums: `sumCount` numbers, all 0 before the first batch. Changing them in place takes no memory.
  func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double])

  /// Notes that all predictions of a batch have been added, for measures that add up sums of batches; others do nothing.
  /// - Parameters:
  ///   - sums: what `add` has kept.
  ///   - outputs: numbers of a prediction.
  func endBatch(_ sums: inout [Double], outputs: Int)

  /// The value over all batches.
  /// - Parameters:
  ///   - sums: what `add` has kept.
  ///   - predictions: how many there were, at least 1.
  func value(_ sums: [Double], predictions: Int) -> Double
}

extension Measure {
  public var unit: String { "" }
  public var isLessBetter: Bool { true }
  public var targetKind: Targets.Kind? { nil }
  /// Beyond every loss of outputs that are floats, squares of their differences among them.
  public var range: ClosedRange<Double> { -1e100...1e100 }
  public func sumCount(outputs: Int) -> Int { 1 }
  public func endBatch(_ sums: inout [Double], outputs: Int) {}
}

/// Measures on their way over the batches of one evaluation.
public struct Measurement: Sendable {
  public let measures: [any Measure]
  private let outputs: Int
  private var sums: [[Double]]
  /// Predictions seen.
  public private(set) var predictions = 0

  /// - Parameters:
  ///   - measures: what is measured, in the order in which values are given.
  ///   - outputs: numbers of a prediction.
  public init(_ measures: [any Measure], outputs: Int) {
    self.measures = measures
    self.outputs = outputs
    sums = measures.map { [Double](repeating: 0, count: $0.sumCount(outputs: outputs)) }
  }

  /// Takes consecutive predictions into all measures. Allocates nothing if they don't. No bit depends on how the predictions
  /// of a batch are divided between calls.
  public mutating func add(_ outputs: Matrix, _ targets: Targets) {
    for index in measures.indices { measures[index].add(outputs, targets, to: &sums[index]) }
    predictions += outputs.rows
  }

  /// Ends a batch. Bits depend on where batches end, because sums of losses are added up batch by batch.
  public mutating func endBatch() {
    for index in measures.indices { measures[index].endBatch(&sums[index], outputs: outputs) }
  }

  /// The measures' values, in their order. Predictions behind the last end of a batch count as one more batch.
  public var values: [Double] {
    var whole = self
    whole.endBatch()
    return zip(measures, whole.sums).map { $0.value($1, predictions: predictions) }
  }
}
