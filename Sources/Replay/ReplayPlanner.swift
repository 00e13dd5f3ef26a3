/// What a replica has already.
public struct ReplicaProgress: Hashable, Sendable {
  /// A state that can be restored.
  public struct StoredPoint: Hashable, Sendable {
    public let point: PathPoint
    /// Whether forward's running average was stored with it.
    public let hasAverage: Bool

    public init(_ point: PathPoint, hasAverage: Bool) {
      self.point = point
      self.hasAverage = hasAverage
    }
  }

  public var observed: Set<Iterate> = []
  /// The n at which its running average was observed.
  public var averagesObserved: Set<Int> = []
  /// An instruction names a state by its index here.
  public var stored: [StoredPoint] = []

  public init() {}
}

/// Turns wanted iterates into a plan.
public struct ReplayPlanner: Sendable {
  public var orders: [CompositionOrder]
  /// The observed n of every order; all are defined by all orders.
  public var points: [Int]
  /// Which of `orders` are observed; the others are there for stored states on their paths.
  public var observedOrders: Range<Int>
  /// What is there already, a replica each: iterates are wanted for each, with its own initial state and batches.
  public var replicas = [ReplicaProgress()]
  /// How many lanes the plan is for: more lanes get more slots, so that they seldom wait for one.
  public var lanes = 1
  /// What one observation costs, in updates. It decides which tasks come first, never what they do.
  public var observationCost = 0.0
  /// Whether the iterates of `forward`, where it is among the orders, enter a running average.
  public var averagesForward = false
  /// Every so many updates of a path its state is stored; nil: never.
  public var checkpointInterval: Int?

  public init(orders: [CompositionOrder], points: [Int]) {
    self.orders = orders
    self.points = points
    observedOrders = orders.indices
  }

  /// Gradient evaluations of one replica of `order` alone at these points.
  public static func gradientEvaluations(of order: CompositionOrder, points: [Int]) -> Int {
    PrefixTree(orders: [order], wanted: points.map { Iterate(order: 0, n: $0) }).totalLength
  }

  public func plan() -> ReplayPlan {
    let kinds = Array(Set(replicas))
    let works = kinds.map(work)
    let workOfReplica = replicas.map { kinds.firstIndex(of: $0) ?? 0 }
    let subtrees = works.map { SubtreeOrder(of: $0.tree, observationCost: observationCost) }
    // Lanes can run ahead of each other where branching states rotate through more slots than one lane needs.
    var builder = TaskBuilder(slots: SlotRotation(preferredCount: lanes == 1 ? 0 : lanes + 1))
    // Longest first, so that what is left at the end is short and lanes finish together.
    let roots = replicas.indices.flatMap { replica in
      let subtrees = subtrees[workOfReplica[replica]]
      return subtrees.children(PrefixTree.root).map { (cost: subtrees.costs[$0], child: $0, replica: replica) }
    }.sorted { ($0.cost, $1.replica, $0.child) > ($1.cost, $0.replica, $1.child) }
    for root in roots {
      let work = workOfReplica[root.replica]
      builder.addTasks(
        below: root.child, replica: root.replica, subtrees: subtrees[work], averaged: works[work].averaged)
    }
    return ReplayPlan(
      orders: orders, slotCount: builder.slots.count, checkpointInterval: checkpointInterval, works: works,
      workOfReplica: workOfReplica, tasks: builder.tasks, prerequisiteStarts: builder.prerequisiteStarts,
      prerequisiteList: builder.prerequisiteList)
  }

  private func work(_ progress: ReplicaProgress) -> ReplayPlan.Work {
    let wanted = observedOrders.flatMap { order in points.map { Iterate(order: order, n: $0) } }.filter {
      let isAverageMissing = averagesForward && orders[$0.order] == .forward && !progress.averagesObserved.contains($0.n)
      return isAverageMissing || !progress.observed.contains($0)
    }
    let lastAveraged = averagesForward ? wanted.filter { orders[$0.order] == .forward }.map(\.n).max() : nil
    let averagedPath = lastAveraged.map { CompositionOrder.forward.sequence($0) }
    // Averaging can't begin at a state whose average is lost.
    let usable = progress.stored.enumerated().filter { _, stored in
      guard let averagedPath, !stored.hasAverage else { return true }
      let sequence = orders[stored.point.iterate.order].sequence(stored.point.iterate.n)
      return sequence.commonPrefixCount(with: averagedPath) < stored.point.position
    }
    let tree = PrefixTree(orders: orders, wanted: wanted, stored: usable.map { ($0.offset, $0.element.point) })
    let averaged = averagedPath.map { path in
      tree.nodes.indices.map { $0 != PrefixTree.root && tree.isOnPath($0, to: path) }
    }
    return ReplayPlan.Work(tree: tree, averaged: averaged ?? [], averagesObserved: progress.averagesObserved)
  }
}

/// Cuts trees into tasks and gives slots to their branching states.
private struct TaskBuilder {
  var slots: SlotRotation
  var tasks: [ReplayPlan.Task] = []
  var prerequisiteStarts = [0]
  var prerequisiteList: [Int32] = []
  /// The last task on the averaged path, by replica. There is one running average a replica, so these tasks follow
  /// each other.
  private var lastAveraging: [Int: Int] = [:]

  init(slots: SlotRotation) {
    self.slots = slots
  }

  /// A state in a slot, and the subtrees still to be begun from it.
  private struct Branching {
    let slot: Int
    let writer: Int
    var children: ArraySlice<Int>
    var readers: [Int] = []
  }

  /// Adds the tasks of one subtree of the root, depth first. At a branching state the cheapest child comes first and
  /// the dearest last: when that is begun its parent's state is needed no more, so that one lane never keeps more
  /// than log₂ of the leaves.
  mutating func addTasks(below child: Int, replica: Int, subtrees: SubtreeOrder, averaged: [Bool]) {
    var pending: [Branching] = []

    /// Adds the task that goes from `first` down to a leaf or to the next branching state.
    func addTask(_ first: Int, from source: Branching?) {
      var last = first
      while subtrees.children(last).count == 1, let only = subtrees.children(last).first { last = only }
      let children = subtrees.children(last)
      let index = tasks.count
      let target = children.isEmpty ? nil : slots.take()
      tasks.append(
        ReplayPlan.Task(replica: replica, first: first, last: last, source: source?.slot, target: target?.slot))
      var earlier = Set(target?.readers ?? [])
      if let source { earlier.insert(source.writer) }
      if !averaged.isEmpty, averaged[first] {
        if let previous = lastAveraging.updateValue(index, forKey: replica) { earlier.insert(previous) }
      }
      // A task may save into the slot it came from, but it does not wait for itself.
      earlier.remove(index)
      prerequisiteList += earlier.sorted().map { Int32($0) }
      prerequisiteStarts.append(prerequisiteList.count)
      if let target { pending.append(Branching(slot: target.slot, writer: index, children: children)) }
    }

    addTask(child, from: nil)
    while var branching = pending.popLast(), let child = branching.children.popFirst() {
      branching.readers.append(tasks.count)
      if branching.children.isEmpty {
        slots.free(branching.slot, readers: branching.readers)
      } else {
        pending.append(branching)
      }
      addTask(child, from: branching)
    }
  }
}

/// Slots, each with the tasks that read what it held last. Freed slots are reused oldest first.
private struct SlotRotation {
  /// New slots are made, rather than old ones reused, up to this count.
  let preferredCount: Int
  private(set) var count = 0
  private var freed: [(slot: Int, readers: [Int])] = []

  init(preferredCount: Int) {
    self.preferredCount = preferredCount
  }

  mutating func take() -> (slot: Int, readers: [Int]) {
    if count >= preferredCount && !freed.isEmpty { return freed.removeFirst() }
    count += 1
    return (count - 1, [])
  }

  mutating func free(_ slot: Int, readers: [Int]) {
    freed.append((slot, readers))
  }
}
