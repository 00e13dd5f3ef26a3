import Formats
import Replay
import Tensors

/// The n at which each series of each seed was observed, or has diverged.
package struct ObservedPoints {
  private struct SeriesOfSeed: Hashable {
    let seed: Int
    let series: Series
  }

  private let points: [SeriesOfSeed: Set<Int>]

  package init(_ observations: [Observation], diverged: [DivergedIterate]) {
    var points: [SeriesOfSeed: Set<Int>] = [:]
    for row in observations { points[SeriesOfSeed(seed: row.seed, series: row.series), default: []].insert(row.n) }
    for row in diverged { points[SeriesOfSeed(seed: row.seed, series: row.series), default: []].insert(row.n) }
    self.points = points
  }

  /// The elements of `wanted` at which a series was not observed.
  package func missing(_ wanted: [Int], of series: Series, seed: Int) -> [Int] {
    // If nothing was observed, all of `wanted`, which may be millions, is missing.
    guard let found = points[SeriesOfSeed(seed: seed, series: series)] else { return wanted }
    return wanted.filter { !found.contains($0) }
  }
}
