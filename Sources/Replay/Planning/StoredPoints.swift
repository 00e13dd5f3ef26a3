/// An index of stored states by the paths they lie on. It finds the state from which a replay of a path would start,
/// without planning the replay.
///
///     let points = StoredPoints(records.map(\.point), orders: orders)
///     let nearest = points.nearest(on: order.sequence(n)) { !isDamaged[$0] }
public struct StoredPoints: Sendable {
  /// The stored states on the path to one iterate.
  private struct Path: Sendable {
    let sequence: BatchSequence
    /// The positions of the states in ascending order, and their indices among all points.
    var states: [(position: Int, place: Int)]
  }

  private let paths: [Path]

  /// - Parameters:
  ///   - points: The stored states, which are referred to by index.
  ///   - orders: The orders of the points' iterates.
  /// - Complexity: O(n log n)
  public init(_ points: [PathPoint], orders: [CompositionOrder]) {
    let byIterate = Dictionary(grouping: points.indices) { points[$0].iterate }
    paths = byIterate.map { iterate, places in
      Path(
        sequence: orders[iterate.order].sequence(iterate.n),
        states: places.map { (points[$0].position, $0) }.sorted { ($0.position, $0.place) < ($1.position, $1.place) })
    }
  }

  /// The stored state on `sequence` that is nearest to its end.
  /// - Parameter isUsable: Whether a state may be used; it is called for few states.
  /// - Returns: The index of the state; nil if there is none, so that the initial state is the nearest.
  /// - Complexity: One comparison of sequences and one bisection for each path with stored states.
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
        // Among states with equally many updates the first is taken, so the result does not depend on the order of
        // paths.
        if let best, (best.position, -best.place) > (state.position, -state.place) { break }
        guard isUsable(state.place) else { continue }
        best = state
        break
      }
    }
    return best?.place
  }
}
