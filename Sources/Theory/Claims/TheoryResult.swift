/// What came out of an example: the document that `theory --json` prints.
public struct TheoryResult: Codable, Sendable {
  public let example: String
  /// The update in a formula.
  public let formula: String
  /// η; nil for `orders`, whose notes say from where to where it goes.
  public let learningRate: Double?
  /// N, the last n; of `orders`, the batches of a pass.
  public let steps: Int
  /// The first seed, and how many there are.
  public let seed: Int
  public let seeds: Int
  /// The probability that all true predictions are accepted is at least this.
  public let confidence: Double
  /// How many predictions are tested by a probability. Each is rejected at the probability (1 − confidence) / tests (Bonferroni), so that
  /// however they depend on each other, true ones are all accepted with the stated confidence.
  public let tests: Int
  public let gradientEvaluations: Int
  public let seconds: Double
  public let checks: [TheoryCheck]
  public let agrees: Bool
  /// What the numbers mean for this example, in sentences.
  public let notes: [String]

  /// The checks whose measurement disagrees with the prediction.
  public var disagreements: [TheoryCheck] { checks.filter { !$0.agrees } }
}
