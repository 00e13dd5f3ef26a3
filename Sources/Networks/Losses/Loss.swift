import Tensors

/// What a network is trained to make small.
///
/// An output of shape […, k] is a prediction of k numbers for each example, or for each of its positions: a row of a
/// matrix. A loss gives every prediction a number by its targets; an update descends the mean over all predictions of the
/// batch. A loss of your own that looks at each number alone is an `ElementwiseLoss`:
///
///     /// log cosh(x − t), the mean over the numbers of a prediction.
///     struct LogCosh: ElementwiseLoss {
///       func value(_ output: Double, target: Double) -> Double { log(cosh(output - target)) }
///       func slope(_ output: Float, target: Float) -> Float { tanh(output - target) }
///     }
///
/// So that an iterate has the same bits wherever it is replayed, sums run in a fixed order, and nothing but the arguments
/// enters them.
public protocol Loss: Sendable {
  /// Whether its targets are numbers of classes or real values.
  var targetKind: Targets.Kind { get }

  /// Unit of the loss, such as `nats`; empty where it has none.
  var unit: String { get }

  /// What is measured beside the loss where nothing else is asked for.
  var measures: [any Measure] { get }

  /// The values that a target may have; it is asked only where targets are values.
  var targetRange: ClosedRange<Float> { get }

  /// How many targets belong to a prediction of `outputs` numbers.
  func targetCount(outputs: Int) -> Int

  /// How many terms of `sum(over:_:into:)` make up the loss of one prediction of `outputs` numbers: it is their mean.
  func termCount(outputs: Int) -> Int

  /// Adds the terms of the predictions' losses to `sum`, one after the other, so that predictions given in parts make the
  /// same sum as all of them at once.
  /// - Parameters:
  ///   - outputs: predictions × numbers of each.
  ///   - targets: those of row r from r · `targetCount` on; there may be more behind those of the last row.
  ///   - sum: the sum over the predictions before these, or 0.
  func sum(over outputs: Matrix, _ targets: Targets, into sum: inout Double)

  /// Writes the gradient of the mean of the predictions' losses by each number of `outputs`.
  /// - Parameters:
  ///   - outputs: predictions × numbers of each; all those of a batch or some of them.
  ///   - targets: as for `sum(over:_:into:)`.
  ///   - predictions: how many there are in the whole batch, which the mean is taken over.
  ///   - gradient: takes it; as large as `outputs`. Its old contents are no number to rely on.
  func writeGradient(of outputs: Matrix, _ targets: Targets, predictions: Int, to gradient: MutableMatrix)
}

extension Loss {
  public var unit: String { "" }
  public var measures: [any Measure] { [] }
  public var targetRange: ClosedRange<Float> { -.greatestFiniteMagnitude ... .greatestFiniteMagnitude }

  /// A class; or as many values as a prediction has numbers.
  public func targetCount(outputs: Int) -> Int { targetKind == .classes ? 1 : outputs }

  /// One: the loss itself.
  public func termCount(outputs: Int) -> Int { 1 }

  /// The loss itself and what it is measured beside: what an evaluation takes where nothing else is asked for.
  public var defaultMeasures: [any Measure] { [MeanLoss(self)] + measures }
}
