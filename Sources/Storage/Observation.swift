import GRDB
import Replay
import Tensors

/// What was seen of one iterate.
public struct Observation: Codable, Hashable, Sendable {
  public var seed: Int
  /// A composition order as the user writes it, or the name of a series computed along the way.
  public var series: String
  public var n: Int
  /// Mean cross-entropy over the evaluated test examples, in nats.
  public var testLoss: Double
  /// Fraction of the evaluated test examples.
  public var testAccuracy: Double
  /// Of the training state and its update count.
  public var digest: Digest

  public init(seed: Int, series: String, n: Int, testLoss: Double, testAccuracy: Double, digest: Digest) {
    self.seed = seed
    self.series = series
    self.n = n
    self.testLoss = testLoss
    self.testAccuracy = testAccuracy
    self.digest = digest
  }
}

extension Observation {
  /// Above every loss of logits that are floats, and so small that squares of it are finite.
  public static let largestLoss = 1e40
}

extension Observation: StoredRow {
  static let table = "observation"
  static let key = ["seed", "series", "n"]

  init(_ columns: RowColumns) throws(BrokenRow) {
    seed = try columns.integer("seed", in: RowBounds.possibleSeeds)
    series = try columns.text("series")
    n = try columns.integer("n", in: RowBounds.possibleIterates)
    testLoss = try columns.number("testLoss")
    testAccuracy = try columns.number("testAccuracy")
    guard abs(testLoss) <= Self.largestLoss else { throw BrokenRow("its testLoss is none that floats give") }
    guard (0...1).contains(testAccuracy) else { throw BrokenRow("its testAccuracy is no fraction") }
    digest = try columns.digest("digest")
  }

  var columns: [String: DatabaseValue] {
    [
      "seed": seed.databaseValue, "series": series.databaseValue, "n": n.databaseValue, "testLoss": testLoss.databaseValue,
      "testAccuracy": testAccuracy.databaseValue, "digest": digest.description.databaseValue,
    ]
  }
}

/// Which seeds and iterates a run has: rows of others are not its own.
public struct RowBounds: Sendable {
  public let seeds: Range<Int>
  public let lastIterate: Int

  public init(seeds: Range<Int>, lastIterate: Int) {
    self.seeds = seeds
    self.lastIterate = lastIterate
  }

  func contains(seed: Int, n: Int) -> Bool { seeds.contains(seed) && n <= lastIterate }

  /// Those that any run can have.
  static let possibleSeeds = 0...Int.max - 1_000_000
  static let possibleIterates = 1...BatchRun.largestBatch
}
