/// The part of a replica's work that is done already.
public struct ReplicaProgress: Hashable, Sendable {
  /// A state that can be restored.
  public struct StoredPoint: Hashable, Sendable {
    public let point: PathPoint
    /// Whether forward's running averages are stored with the state.
    public let hasAverages: Bool

    public init(_ point: PathPoint, hasAverages: Bool) {
      self.point = point
      self.hasAverages = hasAverages
    }
  }

  public var observed: Set<Iterate> = []
  /// The n at which all running averages have been observed.
  public var averagesObserved: Set<Int> = []
  /// The states that can be restored. Instructions refer to a state by its index in this array.
  public var stored: [StoredPoint] = []

  public init() {}
}

/// Makes a plan for wanted iterates.
public struct ReplayPlanner: Sendable {
  public var orders: [CompositionOrder]
  /// The observed n of each order, all of which the order defines.
  public var points: [[Int]]
  /// The indices of the observed `orders`. The others are needed for stored states on their paths.
  public var observedOrders: Range<Int>
  /// The progress of each replica. Iterates are wanted for every replica, with its own initial state and batches.
  public var replicas = [ReplicaProgress()]
  /// The number of lanes the plan is for. More lanes get more slots, so that they seldom wait for one.
  public var lanes = 1
  /// The cost of one observation, in updates. It affects the order of segments, never what they do.
  public var observationCost = 0.0
  /// The number of running averages over the iterates of `forward`, if that is among the orders.
  public var averageCount = 0
  /// The number of updates on a path from one checkpoint to the next; nil for no checkpoints. If there are averages,
  /// the end of forward's path is stored too, so that other averages can be computed from them.
  public var checkpointInterval: Int?
  /// The largest number of branching states in memory at once; nil for as many as are of use. Other branching states
  /// are kept on disk or replayed, whichever takes least time by `slotCosts`.
  public var memorySlots: Int?
  public var slotCosts = SlotCosts(step: 1)
  /// Whether every wanted iterate is observed right behind its last update, which is applied again where the iterate itself is stored:
  /// what an update comes by, such as its loss, is not stored with states. It makes no difference otherwise.
  public var observesLastUpdates = false

  /// - Parameter points: The observed n of each order.
  public init(orders: [CompositionOrder], points: [[Int]]) {
    precondition(points.count == orders.count, "the points of each order")
    self.orders = orders
    self.points = points
    observedOrders = orders.indices
  }

  /// Makes a planner that observes all orders at the same n.
  public init(orders: [CompositionOrder], points: [Int]) {
    self.init(orders: orders, points: Array(repeating: points, count: orders.count))
  }

  /// The gradient evaluations for one replica of `order` alone at these points; `Int.max` if they overflow.
  public static func gradientEvaluations(of order: CompositionOrder, points: [Int]) -> Int {
    gradientEvaluations(of: [order], points: [points])
  }

  /// The gradient evaluations for one replica of several orders together, each at its own points.
  public static func gradientEvaluations(of orders: [CompositionOrder], points: [[Int]]) -> Int {
    let wanted = zip(orders.indices, points).flatMap { order, points in points.map { Iterate(order: order, n: $0) } }
    return PrefixTree(orders: orders, wanted: wanted, checkpoint: {}).totalLength
  }

  /// The plan for what is wanted and not done yet.
  /// - Throws: `ReplayError.tooManyUpdates`; `CancellationError` soon after the surrounding task is cancelled.
  public func plan() throws -> ReplayPlan {
    var cancellation = CancellationChecks()
    func checkpoint() throws { try cancellation.check() }
    let kinds = Array(Set(replicas))
    let works = try kinds.map { try work($0, checkpoint: checkpoint) }
    try Task.checkCancellation()
    let workOfReplica = replicas.map { kinds.firstIndex(of: $0) ?? 0 }
    let subtrees = try works.map {
      try SubtreeOrder(of: $0.tree, observationCost: observationCost, checkpoint: checkpoint)
    }
    // The longest come first, so that the work left at the end is short and lanes finish together.
    let roots = replicas.indices.flatMap { replica in
      let subtrees = subtrees[workOfReplica[replica]]
      return subtrees.children(PrefixTree.root).map { (cost: subtrees.costs[$0], child: $0, replica: replica) }
    }.sorted { ($0.cost, $1.replica, $0.child) > ($1.cost, $0.replica, $1.child) }

    func plan(_ placements: [SlotPlacement]) throws -> ReplayPlan {
      // Lanes can run ahead of each other if branching states rotate through more slots than one lane needs.
      let preferred = lanes == 1 ? 0 : lanes + 1
      var builder = SegmentBuilder(
        memorySlots: SlotRotation(.memory, preferredCount: min(preferred, memorySlots ?? preferred)),
        diskSlots: SlotRotation(.disk, preferredCount: preferred))
      for root in roots {
        try checkpoint()
        let work = workOfReplica[root.replica]
        builder.addSegments(
          below: root.child, replica: root.replica, work: works[work], subtrees: subtrees[work],
          placement: placements.isEmpty ? nil : placements[work])
      }
      let plan = ReplayPlan(
        orders: orders, memorySlots: builder.memorySlots.count, diskSlots: builder.diskSlots.count,
        slotCosts: slotCosts, checkpointInterval: checkpointInterval, averageCount: averageCount, replicaPlans: works,
        planOfReplica: workOfReplica, segments: builder.segments,
        prerequisiteStarts: builder.prerequisiteStarts, prerequisiteList: builder.prerequisiteList)
      guard plan.gradientEvaluations <= ReplayPlan.mostUpdates else { throw ReplayError.tooManyUpdates }
      return plan
    }

    let unlimited = try plan([])
    guard let memorySlots, memorySlots < unlimited.memorySlots else { return unlimited }
    return try plan(
      zip(works, subtrees).map {
        try SlotPlacement(of: $0.tree, subtrees: $1, memorySlots: memorySlots, costs: slotCosts, checkpoint: checkpoint)
      })
  }

  /// The stored states that a replay may start from, with their indices.
  private func startingPoints(
    of progress: ReplicaProgress, wanted: [Iterate]
  ) -> [(offset: Int, element: ReplicaProgress.StoredPoint)] {
    let stored = progress.stored.enumerated().map { (offset: $0.offset, element: $0.element) }
    guard observesLastUpdates, !stored.isEmpty else { return stored }
    let positions = Set(stored.map(\.element.point.position))
    var sequences: [Int: [BatchSequence]] = [:]
    for iterate in wanted where !progress.observed.contains(iterate) {
      let sequence = orders[iterate.order].sequence(iterate.n)
      if positions.contains(sequence.count) { sequences[sequence.count, default: []].append(sequence) }
    }
    return stored.filter { _, stored in
      let (iterate, position) = (stored.point.iterate, stored.point.position)
      guard let candidates = sequences[position] else { return true }
      let path = orders[iterate.order].sequence(iterate.n)
      return !candidates.contains { path.agrees(with: $0, upTo: position) }
    }
  }

  private func work(_ progress: ReplicaProgress, checkpoint: () throws -> Void) throws -> ReplayPlan.ReplicaPlan {
    let wanted = observedOrders.flatMap { order in points[order].map { Iterate(order: order, n: $0) } }.filter {
      let isAverageMissing = averageCount > 0 && orders[$0.order] == .forward && !progress.averagesObserved.contains($0.n)
      return isAverageMissing || !progress.observed.contains($0)
    }
    let stored = startingPoints(of: progress, wanted: wanted)
    let missing = averageCount > 0
      ? wanted.filter { orders[$0.order] == .forward && !progress.averagesObserved.contains($0.n) }.map(\.n) : []
    let averaging = AveragedPath(missing: missing, stored: stored.map(\.element), orders: orders)
    // Averaging can't start at a state whose averages are lost, nor skip such a state on its path.
    let usable = stored.filter { _, stored in
      stored.hasAverages || averaging?.contains(stored.point, orders: orders) != true
    }
    let tree = try PrefixTree(
      orders: orders, wanted: wanted, stored: usable.map { ($0.offset, $0.element.point) }, checkpoint: checkpoint)
    let averaged = averaging.map { averaging in
      tree.nodes.indices.map { node in
        averaging.contains(depth: tree.nodes[node].depth) && tree.isOnPath(node, to: averaging.path)
      }
    }
    let end = observedOrders.first { orders[$0] == .forward }.flatMap { points[$0].max() }
    return ReplayPlan.ReplicaPlan(
      tree: tree, averaged: averaged ?? [],
      averagedEnd: averaged.flatMap { averaged in tree.nodes.indices.first { averaged[$0] && tree.nodes[$0].depth == end } },
      averagesObserved: progress.averagesObserved)
  }
}

/// The stretches of forward's path along which running averages are computed: to each n where they are missing, from
/// the last state before it that is stored with its averages, or from the start.
private struct AveragedPath {
  /// Forward's path to the last n where averages are missing.
  let path: BatchSequence
  /// The n where averages are missing, in ascending order.
  private let missing: [Int]
  /// The update counts of the states on the path that are stored with averages, in ascending order.
  private let beginnings: [Int]

  /// Nil if no averages are missing.
  init?(missing: [Int], stored: [ReplicaProgress.StoredPoint], orders: [CompositionOrder]) {
    guard let last = missing.max() else { return nil }
    let path = CompositionOrder.forward.sequence(last)
    self.path = path
    self.missing = missing.sorted()
    beginnings = stored.filter { $0.hasAverages && Self.isOnPath($0.point, path, orders) }.map(\.point.position).sorted()
  }

  /// Whether the state of the path after `depth` updates lies on one of the stretches or begins one.
  func contains(depth: Int) -> Bool {
    guard depth > 0, let end = missing[missing.partitioningIndex { $0 >= depth }...].first else { return false }
    return depth >= beginnings[..<beginnings.partitioningIndex { $0 > end }].last ?? 0
  }

  func contains(_ point: PathPoint, orders: [CompositionOrder]) -> Bool {
    contains(depth: point.position) && Self.isOnPath(point, path, orders)
  }

  private static func isOnPath(_ point: PathPoint, _ path: BatchSequence, _ orders: [CompositionOrder]) -> Bool {
    orders[point.iterate.order].sequence(point.iterate.n).agrees(with: path, upTo: point.position)
  }
}

extension Array {
  /// The first index from which on `isBehind` holds, found by bisection. If it holds for an element, it must hold for
  /// all later ones.
  fileprivate func partitioningIndex(where isBehind: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
