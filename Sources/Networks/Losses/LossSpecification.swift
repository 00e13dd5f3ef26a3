/// A loss's specification, such as `huber:0.5`.
///
/// Adding a loss is a file with a `Loss`, and its line here.
public struct LossSpecification: Sendable, CustomStringConvertible {
  /// As it was written.
  public let description: String
  public let loss: any Loss

  /// What users can write, for help and messages.
  public static let forms =
    "cross-entropy[:SMOOTHING] (for classes; from 0, below 1, by default 0), mse, huber[:DELTA] (above 0, by default 1) and bce (for values)"

  /// - Throws: `NetworkError.unreadable`.
  public init(_ text: String) throws(NetworkError) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let number = parts.count == 2 ? Float(parts[1]) : nil
    let loss: (any Loss)? =
      switch (parts.first, parts.count, number) {
      case ("cross-entropy", 1, _): CrossEntropy()
      case ("cross-entropy", _, let smoothing?) where (0..<1).contains(smoothing): CrossEntropy(labelSmoothing: smoothing)
      case ("mse", 1, _): MeanSquaredError()
      case ("huber", 1, _): Huber()
      case ("huber", _, let delta?) where delta > 0 && delta.isFinite: Huber(delta: delta)
      case ("bce", 1, _): BinaryCrossEntropy()
      default: nil
      }
    guard let loss else { throw .unreadable("the loss '\(text)' can't be read; there are \(Self.forms)") }
    description = text
    self.loss = loss
  }
}
