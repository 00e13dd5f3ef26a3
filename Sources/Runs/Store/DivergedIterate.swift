import Formats
import GRDB
import Replay
import Tensors

/// An iterate, or a running average at one n, that has diverged. It has no values and no digest: which NaN a state holds depends on
/// the processor, and what came of it on what else was computed.
///
/// An iterate has diverged if
/// - a number of its training state is not finite,
/// - a metric of it is not finite, or its loss is above the workload's `divergenceLimit`,
/// - or it continues an observed iterate that has: its batch sequence begins with that iterate's, so that it comes of its state.
///
/// A running average has diverged if a metric of it shows that, or if an observed iterate that it averages has, or the same average at
/// an earlier observed n. So what has diverged is a function of the workload and the seed, whatever is computed first.
public struct DivergedIterate: Codable, Hashable, Sendable {
  public var seed: Int
  public var series: Series
  public var n: Int

  public init(seed: Int, series: Series, n: Int) {
    self.seed = seed
    self.series = series
    self.n = n
  }
}

extension DivergedIterate: CustomStringConvertible {
  public var description: String { "\(series) n \(n) seed \(seed): diverged" }
}

extension DivergedIterate: StoredRow {
  static let table = "divergence"
  static let key = ["seed", "series", "n"]

  init(_ columns: RowColumns) throws(BrokenRow) {
    seed = try columns.integer("seed", in: RowBounds.possibleSeeds)
    series = try columns.series("series")
    n = try columns.integer("n", in: RowBounds.possibleIterates)
  }

  var columns: [String: DatabaseValue] {
    ["seed": seed.databaseValue, "series": series.description.databaseValue, "n": n.databaseValue]
  }
}

extension RunDatabase {
  /// All diverged iterates, ordered by seed, series and n.
  /// - Parameter leavesOutBroken: Whether to skip rows that the run can't have written.
  public func divergences(leavesOutBroken: Bool = false) throws(StorageError) -> [DivergedIterate] {
    try contents("SELECT * FROM divergence ORDER BY seed, series, n", leavesOutBroken: leavesOutBroken)
  }

  /// The n at which a series of one seed has diverged, in ascending order.
  func diverged(seed: Int, series: Series) throws(StorageError) -> [Int] {
    let rows: [DivergedIterate] = try contents(
      "SELECT * FROM divergence WHERE seed = \(seed) AND series = \(series.description) ORDER BY n")
    return rows.map(\.n)
  }

  /// Notes that iterates have diverged, instead of what was observed of them.
  package func diverge(_ iterates: [DivergedIterate]) throws(StorageError) {
    try attempt { try queue.write { for iterate in iterates { try insert(iterate, $0) } } }
  }

  func insert(_ iterate: DivergedIterate, _ connection: Database) throws {
    try connection.execute(
      sql: "DELETE FROM observation WHERE seed = ? AND series = ? AND n = ?",
      arguments: [iterate.seed, iterate.series.description, iterate.n])
    try Sealed(iterate).insert(connection, onConflict: .ignore)
  }

  /// Notes that an iterate has not diverged, but was observed.
  func replace(_ iterate: DivergedIterate, by observation: Observation) throws(StorageError) {
    try attempt {
      try queue.write {
        _ = try Sealed(iterate).delete($0)
        try insert(observation, $0)
      }
    }
  }
}
