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

  /// Takes a batch into what it keeps.
  /// - Parameters:
  ///   - outputs: predictions × numbers of each.
  ///   - targets: those of row r from r · the loss's `targetCount` on; there may be more behind those of the last row.
  ///   - sums: `sumCount` numbers, all 0 before the first batch. Changing them in place takes no memory.
  func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double])

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
}

/// Measures on their way over the batches of one evaluation.
public struct Measurement: Sendable {
  public let measures: [any Measure]
  private var sums: [[Double]]
  /// Predictions seen.
  public private(set) var predictions = 0

  /// - Parameters:
  ///   - measures: what is measured, in the order in which values are given.
  ///   - outputs: numbers of a prediction.
  public init(_ measures: [any Measure], outputs: Int) {
    self.measures = measures
    sums = measures.map { [Double](repeating: 0, count: $0.sumCount(outputs: outputs)) }
  }

  /// Takes a batch into all measures. Allocates nothing if they don't.
  public mutating func add(_ outputs: Matrix, _ targets: Targets) {
    for index in measures.indices { measures[index].add(outputs, targets, to: &sums[index]) }
    predictions += outputs.rows
  }

  /// The measures' values, in their order.
  public var values: [Double] { zip(measures, sums).map { $0.value($1, predictions: predictions) } }
}
