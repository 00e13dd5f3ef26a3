import Formats
import Replay
import Tensors

extension Workload {
  /// The orders and points that automatic orders and schedules ask for, as far as `observations`, and the iterates that
  /// have diverged, determine them.
  /// - Returns: The selection, what was found so far, and whether nothing more will be asked for once this is
  ///   observed.
  package func selection(
    after observations: [Observation], diverged: [DivergedIterate] = [], lanes: Int
  ) -> (selection: IterateSelection, findings: [AdaptiveFinding], isComplete: Bool) {
    // Without automatic orders and schedules the points, of which there may be millions, are simply those of the
    // schedules.
    if !isAdaptive { return (IterateSelection(askedOrders, points), [], true) }
    var requests = ObservationRequests(self, observations, diverged: diverged, lanes: lanes)
    for (order, points) in zip(orders, points) {
      switch order.choice {
      case .fixed(let fixed) where !isAdaptive(order): requests.add(fixed, points)
      case .fixed where !requests.choosesPoints(order): break
      default: requests.add(order, points)
      }
    }
    // Orders whose iterates all lie on one path are observed at the same n as the others, and only once these are
    // known: replaying the path for every new n would cost its whole length each time.
    for order in orders where requests.isComplete && isAdaptive(order) && !requests.choosesPoints(order) {
      if let fixed = order.order { requests.add(fixed, requests.chosenPoints) }
    }
    return (requests.selection, requests.findings, requests.isComplete)
  }

  /// A selection extended by the orders that are observed at the n other orders choose, and so are not in it yet.
  /// They get at least the last n.
  package func withOrdersToCome(_ selection: IterateSelection) -> IterateSelection {
    var whole = selection
    for (place, observed) in orders.enumerated() {
      guard let order = observed.order, order != .backward, !selection.orders.contains(order) else { continue }
      whole.orders.insert(order, at: min(place, whole.orders.count))
      whole.points.insert([steps], at: min(place, whole.points.count))
    }
    return whole
  }
}
