import Benchmark
import Replay

/// Planning alone, without following the plan. Each is planned for so many observed iterates and for twice as many:
/// time must grow like their number, since plans are made for runs of millions of batches.
func registerPlanner() {
  for count in [50_000, 100_000] {
    let name = count == 50_000 ? "50,000" : "100,000"
    plan("backward, \(name) iterates", .backward, points: Array(1...count))
    plan("tail:50, \(name) iterates", .tail(50), points: Array(stride(from: 10, through: 10 * count, by: 10)))
    plan("sliding:16, \(name) iterates", .sliding(16), points: Array(1...count))
  }
  // Every trunk state has a tooth, and there is room for none of them: they go to disk or are replayed.
  for count in [5_000, 10_000] {
    plan(
      "tail:50, \(count == 5_000 ? "5,000" : "10,000") iterates, no memory slot", .tail(50),
      points: Array(stride(from: 10, through: 10 * count, by: 10)), memorySlots: 0)
  }
}

private func plan(_ name: String, _ order: CompositionOrder, points: [Int], memorySlots: Int? = nil) {
  measure("planner: \(name)") {
    var planner = ReplayPlanner(orders: [order], points: points)
    planner.memorySlots = memorySlots
    planner.slotCosts = SlotCosts(step: 1, write: 3, read: 2, start: 1)
    return planner
  } body: { planner in
    let plan = try planner.plan()
    guard plan.observationCount == points.count else {
      throw Meaningless(description: "\(plan.observationCount) observations planned, not \(points.count)")
    }
  }
}
