import Formats
import Replay
import Tensors

extension Run {
  /// Notes of every iterate and average, wanted or observed, that it has diverged where that follows from others that have: it
  /// continues one of them, or averages it.
  ///
  /// Where paths share their computation the engine has found most of these already. But a path may begin at a checkpoint behind a
  /// diverged iterate, and an automatic schedule may look at later iterates first, so that only this makes what has diverged
  /// independent of what was computed when.
  /// - Returns: Whether there was something to note.
  func spreadDivergence() throws -> Bool {
    let known = Dictionary(grouping: try database.divergences(), by: \.seed)
    guard !known.isEmpty else { return false }
    let orders = try selectedAndObservedOrders()
    var spreads = false
    for (seed, diverged) in known.sorted(by: { $0.key < $1.key }) where workload.seeds.contains(seed) {
      let others = try candidates(seed: seed, orders: orders)
      let continuing = try Self.continuing(diverged, among: others, orders: orders)
      let found = continuing + averages(of: diverged + continuing, among: others)
      let new = Set(found).subtracting(diverged).sorted { ($0.series.description, $0.n) < ($1.series.description, $1.n) }
      if !new.isEmpty {
        try database.diverge(new)
        spreads = true
      }
    }
    return spreads
  }

  /// Whether an iterate or average has diverged because others have, whatever is measured of it.
  func hasToDiverge(_ iterate: DivergedIterate) throws -> Bool {
    let others = try database.divergences(leavesOutBroken: true).filter { $0.seed == iterate.seed && $0 != iterate }
    let found = try Self.continuing(others, among: [iterate], orders: selectedAndObservedOrders()) + averages(of: others, among: [iterate])
    return found.contains(iterate)
  }

  /// What may have diverged of one seed: everything that is wanted or observed of it.
  private func candidates(seed: Int, orders: [CompositionOrder]) throws -> Set<DivergedIterate> {
    let selection = specification.selection
    var candidates = Set(selection.curves.flatMap { order, points in
      points.map { DivergedIterate(seed: seed, series: .order(order), n: $0) }
    })
    for rule in workload.averages {
      for n in selection.points(of: .forward) ?? [] { candidates.insert(DivergedIterate(seed: seed, series: .average(rule), n: n)) }
    }
    for series in orders.map(Series.order) + workload.averageSeries {
      try database.forEachObservation(seed: seed, series: series) {
        candidates.insert(DivergedIterate(seed: seed, series: series, n: $0.n))
      }
    }
    return candidates
  }

  /// The candidates whose batch sequences begin with that of a diverged iterate.
  static func continuing(
    _ diverged: [DivergedIterate], among candidates: Set<DivergedIterate>, orders: [CompositionOrder]
  ) throws -> [DivergedIterate] {
    // The orders of a database are names; sequences are those of the run's orders.
    let complete = Dictionary(orders.map { ($0, $0) }) { first, _ in first }
    func entries(_ iterates: some Sequence<DivergedIterate>, isDiverged: Bool) -> [Entry] {
      iterates.compactMap { iterate in
        guard let order = iterate.series.order.flatMap({ complete[$0] }), iterate.n <= order.lastIterate ?? iterate.n else { return nil }
        return Entry(iterate: iterate, sequence: order.sequence(iterate.n), isDiverged: isDiverged)
      }
    }
    var cancellation = CancellationChecks()
    let all = entries(diverged, isDiverged: true) + entries(candidates.subtracting(diverged), isDiverged: false)
    let sorted = try all.sorted {
      try cancellation.check()
      return $0.sequence == $1.sequence ? $0.isDiverged && !$1.isDiverged : $0.sequence < $1.sequence
    }
    // In lexicographic order all sequences that begin with another come directly behind it.
    var found: [DivergedIterate] = []
    var begun: BatchSequence?
    for entry in sorted {
      if let begun, entry.sequence.agrees(with: begun, upTo: begun.count) {
        if !entry.isDiverged { found.append(entry.iterate) }
      } else if entry.isDiverged {
        begun = entry.sequence
      }
    }
    return found
  }

  private struct Entry {
    let iterate: DivergedIterate
    let sequence: BatchSequence
    let isDiverged: Bool
  }

  /// The running averages among the candidates that hold a diverged iterate of forward, or follow a diverged average by their rule.
  private func averages(of diverged: [DivergedIterate], among candidates: Set<DivergedIterate>) -> [DivergedIterate] {
    let first = Dictionary(diverged.map { ($0.series, $0.n) }, uniquingKeysWith: min)
    return candidates.filter { candidate in
      guard candidate.series.average != nil, let n = [first[.forward], first[candidate.series]].compactMap({ $0 }).min() else { return false }
      return candidate.n >= n
    }
  }
}
