import Backtrail
import Foundation

/// Where a series has diverged, in a few words: `at 120`, or `2 of 5, at 120` for the first of them.
func divergence(_ diverged: [SeedDivergence], seeds: Int) -> String {
  guard let first = diverged.map(\.n).min() else { return "-" }
  return seeds == 1 ? "at \(first)" : "\(diverged.count) of \(seeds), at \(first)"
}

/// What has diverged, and what that means for the numbers of the others; empty if nothing has.
func divergenceNotes(_ summary: [SeriesSummary], of run: RunDescription) -> [String] {
  divergenceNotes(summary.map { ($0.name, $0.diverged) }, of: run)
}

/// - Parameter series: The name of each series, and the seeds for which it has diverged.
func divergenceNotes(_ series: [(name: String, diverged: [SeedDivergence])], of run: RunDescription) -> [String] {
  let seeds = run.workload.seedCount
  let diverged = series.filter { !$0.diverged.isEmpty }
  guard !diverged.isEmpty else { return [] }
  let limit = run.workload.divergenceLimit.map { String(format: ", or the \(run.loss.title) is above %g", $0) } ?? ""
  var notes = [
    """
    Diverged: the first observed n where a number of the state or a metric is not finite\(limit). What would come of that state is not \
    computed.
    """
  ]
  if seeds > 1 {
    let groups = Dictionary(grouping: diverged.indices) { diverged[$0].diverged }.values.sorted { $0[0] < $1[0] }
    for group in groups {
      let (name, diverged) = (group.map { diverged[$0].name }.joined(separator: ", "), diverged[group[0]].diverged)
      let places = diverged.prefix(5).map { "seed \($0.seed) at \(grouped($0.n))" }.joined(separator: ", ") + (diverged.count > 5 ? ", …" : "")
      notes.append("\(name): diverged for \(diverged.count) of \(seeds) seeds, \(places).")
    }
    if diverged.contains(where: { $0.diverged.count < seeds }) {
      notes.append("Means are of the seeds that did not diverge, which are selected by that: they say nothing of the others, and may flatter.")
    }
  }
  return notes
}
