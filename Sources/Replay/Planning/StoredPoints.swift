/// States that are stored, by the paths they lie on: finds the one a replay of a path would begin at without planning it.
///
///     let points = StoredPoints(records.map(\.point), orders: orders)
///     let nearest = points.nearest(on: order.sequence(n)) { !isDamaged[$0] }
public struct StoredPoints: Sendable {
  /// The stored states on the way to one iterate.
  private struct Path: Sendable {
    let sequence: BatchSequence
    /// Their positions, ascending, and their places among all.
    var states: [(position: Int, place: Int)]
  }

  private let paths: [Path]

  /// - Parameters:
  ///   - points: places among them name the states.
  ///   - orders: those that the points' iterates are of.
  /// - Complexity: O(n log n)
  public init(_ points: [PathPoint], orders: [CompositionOrder]) {
    let byIterate = Dictionary(grouping: points.indices) { points[$0].iterate }
    paths = byIterate.map { iterate, places in
      Path(
        sequence: orders[iterate.order].sequence(iterate.n),
        states: places.map { (points[$0].position, $0) }.sorted { ($0.position, $0.place) < ($1.position, $1.place) })
    }
  }

  /// The state nearest to the end of `sequence` among those it passes through.
  /// - Parameters:
  ///   - sequence: the batches of a path.
  ///   - isUsable: tells which may be used; it is asked of few.
  /// - Returns: The state's place; nil where there is none, and the initial state is the nearest.
  /// - Complexity: for each path with stored states a comparison of its sequence with this one, and a search by halving.
  public func nearest(on sequence: BatchSequence, isUsable: (_ place: Int) -> Bool = { _ in true }) -> Int? {
    var best: (position: Int, place: Int)?
    for path in paths {
      let shared = path.sequence.commonPrefixCount(with: sequence)
      var (low, high) = (0, path.states.count)
      while low < high {
        let middle = (low + high) / 2
        if path.states[middle].position <= shared { low = middle + 1 } else { high = middle }
      }
      for state in path.states[..<low].reversed() {
        // Of states with as many updates the first is taken, so that the answer does not depend on the order of paths.
        if let best, (best.position, -best.place) > (state.position, -state.place) { break }
        guard isUsable(state.place) else { continue }
        best = state
        break
      }
    }
    return best?.place
  }
}
