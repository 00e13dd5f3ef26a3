/// Turns wanted iterates into a plan.
public struct ReplayPlanner: Sendable {
  public var orders: [CompositionOrder]
  /// The observed n of every order; those an order does not define are left out by the caller.
  public var points: [Int]
  /// How often all of it is wanted, each time with its own initial state and batches.
  public var replicas = 1
  /// How many lanes the plan is for: more lanes get more slots, so that they seldom wait for one.
  public var lanes = 1
  /// What one observation costs, in updates. It decides which tasks come first, never what they do.
  public var observationCost = 0.0
  /// Whether the iterates of `forward`, where it is among the orders, enter a running average.
  public var averagesForward = false

  public init(orders: [CompositionOrder], points: [Int]) {
    self.orders = orders
    self.points = points
  }

  /// Gradient evaluations of one replica of `order` alone at these points.
  public static func gradientEvaluations(of order: CompositionOrder, points: [Int]) -> Int {
    PrefixTree(orders: [order], iterates: points.map { Iterate(order: 0, n: $0) }).totalLength
  }

  public func plan() -> ReplayPlan {
    let iterates = orders.indices.flatMap { order in points.map { Iterate(order: order, n: $0) } }
    let tree = PrefixTree(orders: orders, iterates: iterates)
    var averaged: [Bool] = []
    if averagesForward, orders.contains(.forward), let last = points.last {
      let path = CompositionOrder.forward.sequence(last)
      averaged = tree.nodes.indices.map { $0 != PrefixTree.root && tree.isOnPath($0, to: path) }
    }
    var builder = TaskBuilder(
      subtrees: SubtreeOrder(of: tree, observationCost: observationCost),
      // Lanes can run ahead of each other where branching states rotate through more slots than one lane needs.
      slots: SlotRotation(preferredCount: lanes == 1 ? 0 : lanes + 1))
    // Longest first, so that what is left at the end is short and lanes finish together.
    for child in builder.subtrees.children(PrefixTree.root).reversed() {
      for replica in 0..<replicas { builder.addTasks(below: child, replica: replica) }
    }
    return ReplayPlan(
      orders: orders, replicas: replicas, slotCount: builder.slots.count, tree: tree, tasks: builder.tasks,
      averaged: averaged, prerequisiteStarts: builder.prerequisiteStarts,
      prerequisiteList: builder.prerequisiteList)
  }
}

/// Cuts a tree into tasks and gives slots to its branching states.
private struct TaskBuilder {
  let subtrees: SubtreeOrder
  var slots: SlotRotation
  var tasks: [ReplayPlan.Task] = []
  var prerequisiteStarts = [0]
  var prerequisiteList: [Int32] = []

  init(subtrees: SubtreeOrder, slots: SlotRotation) {
    self.subtrees = subtrees
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
  mutating func addTasks(below child: Int, replica: Int) {
    var pending: [Branching] = []
    if let branching = addTask(child, replica: replica, from: nil) { pending.append(branching) }
    while var branching = pending.popLast(), let child = branching.children.popFirst() {
      branching.readers.append(tasks.count)
      if branching.children.isEmpty {
        slots.free(branching.slot, readers: branching.readers)
      } else {
        pending.append(branching)
      }
      if let deeper = addTask(child, replica: replica, from: branching) { pending.append(deeper) }
    }
  }

  /// Adds the task that goes from `first` down to the next branching state, which it returns, or to a leaf.
  private mutating func addTask(_ first: Int, replica: Int, from source: Branching?) -> Branching? {
    var last = first
    while subtrees.children(last).count == 1, let only = subtrees.children(last).first { last = only }
    let children = subtrees.children(last)
    let index = tasks.count
    let target = children.isEmpty ? nil : slots.take()
    tasks.append(
      ReplayPlan.Task(replica: replica, first: first, last: last, source: source?.slot, target: target?.slot))
    // A task may save into the slot it came from, but it does not wait for itself.
    let earlier = Set([source?.writer].compactMap { $0 } + (target?.readers ?? [])).subtracting([index])
    prerequisiteList += earlier.sorted().map { Int32($0) }
    prerequisiteStarts.append(prerequisiteList.count)
    return target.map { Branching(slot: $0.slot, writer: index, children: children) }
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
