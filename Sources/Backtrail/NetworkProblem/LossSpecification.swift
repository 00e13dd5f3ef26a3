import Networks
import Runs

/// Reads losses in the form of the setting `loss`.
public enum LossSpecification {
  public static let forms = "cross-entropy[:SMOOTHING], mse, huber[:δ], binary-cross-entropy"

  /// Reads a specification such as `huber:0.5`.
  /// - Throws: `RunError.usage` if the specification is not valid.
  public static func loss(_ specification: String) throws(RunError) -> any Loss {
    let parts = specification.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    // The number is checked as the `Float` that losses use: there 0.99999999999 is 1, and 1e-50 is 0.
    let number = parts.count == 2 ? Float(parts[1]) : nil
    switch (parts[0], parts.count) {
    case ("cross-entropy", 1): return CrossEntropy()
    case ("cross-entropy", 2):
      if let number, (0..<1).contains(number) { return CrossEntropy(labelSmoothing: number) }
      throw .usage("`loss` \(specification) needs a smoothing from 0 to below 1 after the colon, such as cross-entropy:0.1")
    case ("mse", 1): return MeanSquaredError()
    case ("huber", 1): return Huber()
    case ("huber", 2):
      if let number, number > 0, number.isFinite { return Huber(delta: number) }
      throw .usage("`loss` \(specification) needs a positive number after the colon, such as huber:0.5")
    case ("binary-cross-entropy", 1): return BinaryCrossEntropy()
    default: throw .usage("no loss is called '\(specification)'; there are \(forms)")
    }
  }
}
