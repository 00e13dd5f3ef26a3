import Replay
import TestSupport
import Testing

@Suite struct StoredPointsTests {
  private let orders: [CompositionOrder] = [.forward, .backward, .tail(4), .splice(6), .sliding(3), .flipflop(5), .blocks(4), .reshuffled(6), .paired(4), .randomOrder(3)]

  /// A plan made with the nearest state alone applies as many updates as one made with all stored states.
  @Test func theNearestStateIsAsGoodAsAll() throws {
    var random = SplitMix(state: 3)
    for round in 0..<60 {
      let points = (0..<Int.random(in: 0...30, using: &random)).map { _ in
        let iterate = Iterate(order: Int.random(in: orders.indices, using: &random), n: Int.random(in: 1...30, using: &random))
        let length = orders[iterate.order].sequence(iterate.n).count
        return PathPoint(iterate, position: Int.random(in: 1...length, using: &random))
      }
      let stored = StoredPoints(points, orders: orders)
      for (order, composition) in orders.enumerated() {
        let n = Int.random(in: 1...30, using: &random)
        func updates(_ points: [PathPoint]) throws -> Int {
          var planner = ReplayPlanner(orders: orders, points: orders.indices.map { $0 == order ? [n] : [] })
          planner.replicas[0].stored = points.map { .init($0, hasAverages: false) }
          return try planner.plan().gradientEvaluations
        }
        let sequence = composition.sequence(n)
        for isUsable in [{ (_: Int) in true }, { $0 % 3 != round % 3 }] {
          let usable = points.indices.filter(isUsable)
          let nearest = stored.nearest(on: sequence, isUsable: isUsable)
          #expect(nearest.map { usable.contains($0) } ?? true)
          #expect(try updates(nearest.map { [points[$0]] } ?? []) == updates(usable.map { points[$0] }))
        }
      }
    }
  }

  @Test func whereThereIsNoneTheStartIsNearest() {
    let points = [PathPoint(Iterate(order: 1, n: 9), position: 3)]
    let stored = StoredPoints(points, orders: orders)
    #expect(stored.nearest(on: CompositionOrder.forward.sequence(9)) == nil)
    #expect(stored.nearest(on: CompositionOrder.backward.sequence(9)) == 0)
    #expect(stored.nearest(on: CompositionOrder.backward.sequence(9).prefix(2)) == nil)
    let unusable = stored.nearest(on: CompositionOrder.backward.sequence(9)) { _ in false }
    #expect(unusable == nil)
  }
}
