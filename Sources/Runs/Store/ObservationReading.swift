import Formats
import GRDB
import Replay
import Tensors

/// Observations are read a page at a time, so that reading takes the same memory however many there are.
extension RunDatabase {
  /// The number of rows read at a time.
  private static let pageSize = 512

  public func observationCount() throws(StorageError) -> Int {
    try reading { try Sealed<Observation>.fetchCount($0) }
  }

  /// All series that were observed or have diverged, in no particular order.
  public func observedSeries() throws(StorageError) -> [Series] {
    try reading {
      try String.fetchAll($0, sql: "SELECT series FROM \(Observation.table) UNION SELECT series FROM \(DivergedIterate.table)")
    }.compactMap(Series.init)
  }

  /// The last n at which a series of one seed was observed; nil if there is none.
  public func lastObserved(seed: Int, series: Series) throws(StorageError) -> Int? {
    try reading {
      let rows = Sealed<Observation>.filter(Column("seed") == seed && Column("series") == series.description)
      return try observations(rows.order(Column("n").desc).limit(1), $0).first?.n
    }
  }

  /// Calls `body` with each observation of one series and seed, in ascending order of n. `body` may take long: no
  /// lock is held meanwhile.
  public func forEachObservation(seed: Int, series: Series, _ body: (Observation) throws -> Void) throws {
    var last: Int?
    while true {
      let page = try reading { [last] in
        let rows = Sealed<Observation>.filter(Column("seed") == seed && Column("series") == series.description)
        let page = (last.map { rows.filter(Column("n") > $0) } ?? rows).order(Column("n")).limit(Self.pageSize)
        return try observations(page, $0)
      }
      for observation in page { try body(observation) }
      guard page.count == Self.pageSize, let end = page.last else { return }
      last = end.n
    }
  }

  /// Calls `body` with all observations, ordered by seed, series and n.
  public func forEachObservation(_ body: (Observation) throws -> Void) throws {
    var last: Observation?
    while true {
      let page = try reading { [last] in
        let rows = Sealed<Observation>.order(Column("seed"), Column("series"), Column("n"))
        let rest = last.map { last in
          rows.filter(sql: "(seed, series, n) > (?, ?, ?)", arguments: [last.seed, last.series.description, last.n])
        }
        return try observations((rest ?? rows).limit(Self.pageSize), $0)
      }
      for observation in page { try body(observation) }
      guard page.count == Self.pageSize, let end = page.last else { return }
      last = end
    }
  }

  private func observations(_ page: QueryInterfaceRequest<Sealed<Observation>>, _ database: Database) throws -> [Observation] {
    try Row.fetchAll(database, page).map { try content($0) }
  }

  private func reading<Value>(_ body: (Database) throws -> Value) throws(StorageError) -> Value {
    try attempt { try queue.read(body) }
  }
}
