/// How to produce every wanted iterate with the least number of gradient evaluations.
///
/// A plan is a list of tasks, each a straight line of instructions for one lane. Followed one after the other they
/// are a complete replay; a lane may also take any task whose `prerequisites` are done. Instructions are made when
/// asked for and never stored, so that a plan over a million batches takes room for its observations only.
public struct ReplayPlan: Sendable {
  /// A stretch of a prefix tree that ends at a leaf or at a branching state.
  struct Task: Sendable {
    let replica: Int
    /// The node it starts from: one that is kept in a slot, or the root.
    let origin: Int
    /// The node below which it does what no task did before; down to it, it makes states again.
    let begun: Int
    /// The node it ends at.
    let last: Int
    /// The slot with the state of `origin`; nil: the initial state, or a stored one if the first node below is that.
    let source: Slot?
    /// The slot its last state goes to; nil: none.
    let target: Slot?
  }

  /// What is to be done for some replicas: most often the same for all.
  struct Work: Sendable {
    let tree: PrefixTree
    /// For every node whether its edge belongs to the averaged order's path; empty without one.
    let averaged: [Bool]
    /// The node at the end of that path, if it is reached.
    let averagedEnd: Int?
    /// The averaged iterates that have been observed already.
    let averagesObserved: Set<Int>
  }

  public let orders: [CompositionOrder]
  /// States the plan keeps in memory at once, besides those of the lanes.
  public let memorySlots: Int
  /// States the plan keeps on disk at once.
  public let diskSlots: Int
  /// What the slots were given out by.
  let slotCosts: SlotCosts
  /// Every so many updates of a path its state is stored; nil: never.
  public let checkpointInterval: Int?
  /// How many running averages forward's iterates enter.
  let averageCount: Int
  let works: [Work]
  /// Which of `works` is a replica's.
  let workOfReplica: [Int]
  let tasks: [Task]
  /// Which tasks must be done before a task may begin: those of task i are
  /// `prerequisiteList[prerequisiteStarts[i]..<prerequisiteStarts[i + 1]]`.
  let prerequisiteStarts: [Int]
  let prerequisiteList: [Int32]

  /// How many times iterates are wanted, each with its own initial state and batches.
  public var replicas: Int { workOfReplica.count }

  public var taskCount: Int { tasks.count }

  /// No plan has more updates than this: ten to the fifteenth, far beyond what can be waited for. All sums of updates fit into
  /// an `Int` up to there, and into a `Double` exactly.
  public static let mostUpdates = 1_000_000_000_000_000

  /// Updates the replay applies, all replicas together.
  public var gradientEvaluations: Int { sum { $0.tree.totalLength }.addingClamped(repeatedUpdates) }

  /// Of `gradientEvaluations`, those that make states again for which there was no slot.
  public var repeatedUpdates: Int { tasks.reduce(0) { $0.addingClamped(repeatedUpdates($1)) } }

  private func repeatedUpdates(_ task: Task) -> Int {
    let nodes = work(of: task).tree.nodes
    return nodes[task.begun].depth - nodes[task.origin].depth
  }

  /// States that are written to slots on disk.
  public var diskWrites: Int { tasks.count { $0.target?.tier == .disk } }

  /// States that are read from slots on disk.
  public var diskReads: Int { tasks.count { $0.source?.tier == .disk } }

  /// States that are observed, running averages not counted.
  public var observationCount: Int { sum { $0.tree.nodes.count { !$0.wanted.isEmpty } } }

  /// Observations of running averages.
  public var averageObservationCount: Int {
    averageCount * sum { work in work.tree.nodes.indices.count { observesAverages($0, in: work) } }
  }

  /// Running averages kept for each replica.
  public var averagesKept: Int { works.contains { !$0.averaged.isEmpty } ? averageCount : 0 }

  private func sum(_ count: (Work) -> Int) -> Int {
    let counts = works.map(count)
    return workOfReplica.reduce(0) { $0.addingClamped(counts[$1]) }
  }

  /// Tasks that must be done before task `index` begins; all come earlier in the list.
  public func prerequisites(ofTask index: Int) -> some Collection<Int> {
    prerequisiteList[prerequisiteStarts[index]..<prerequisiteStarts[index + 1]].lazy.map(Int.init)
  }

  /// An iterate whose path task `index` follows: every state of the task is a point on it.
  public func path(ofTask index: Int) -> Iterate { work(of: tasks[index]).tree.example(tasks[index].last) }

  public func replica(ofTask index: Int) -> Int { tasks[index].replica }

  /// How many updates states have that task `index` only makes again, on the way from its origin to where it goes on.
  func repeatedPositions(ofTask index: Int) -> Range<Int> {
    let nodes = work(of: tasks[index]).tree.nodes
    return nodes[tasks[index].origin].depth..<nodes[tasks[index].begun].depth
  }

  private func work(of task: Task) -> Work { works[workOfReplica[task.replica]] }

  /// Whether any state is stored on the way.
  public var storesStates: Bool { checkpointCounts.states > 0 }

  /// How many states are stored on the way, and how many running averages with them.
  public var checkpointCounts: (states: Int, averages: Int) {
    guard let interval = checkpointInterval else { return (0, 0) }
    func stored(_ index: Int, in work: Work) -> Int {
      guard index != PrefixTree.root, work.tree.isNeeded[index] else { return 0 }
      let node = work.tree.nodes[index]
      let isStoredAtItsEnd = index == work.averagedEnd && node.depth > node.edgeStart && node.depth % interval != 0
      return node.depth / interval - node.edgeStart / interval + (isStoredAtItsEnd ? 1 : 0)
    }
    return (
      sum { work in work.tree.nodes.indices.reduce(0) { $0 + stored($1, in: work) } },
      averageCount * sum { work in
        work.averaged.isEmpty ? 0 : work.tree.nodes.indices.reduce(0) { $0 + (work.averaged[$1] ? stored($1, in: work) : 0) }
      }
    )
  }

  /// The stored states that tasks begin with.
  public var restoredStates: [(replica: Int, stored: Int)] {
    tasks.compactMap { task in
      guard task.source == nil, let first = nodes(of: task).first else { return nil }
      return work(of: task).tree.nodes[first].stored.map { (task.replica, $0) }
    }
  }

  /// Gives `body` the instructions of task `index`, first to last.
  public func forEachInstruction(
    ofTask index: Int, _ body: (ReplayInstruction) throws -> Void
  ) rethrows {
    let task = tasks[index]
    let work = work(of: task)
    let nodes = nodes(of: task)
    if let source = task.source {
      try body(.load(slot: source.number, tier: source.tier))
      try body(.release(slot: source.number, tier: source.tier))
    } else if let stored = nodes.first.flatMap({ work.tree.nodes[$0].stored }) {
      // Elsewhere the averages belong to whichever task is on the averaged path, which may be in the midst of it.
      let continuesAverages = task.begun == PrefixTree.root && isAveraged(nodes[0], in: work)
      try body(.restore(replica: task.replica, stored: stored, averages: continuesAverages))
    } else {
      try body(.start(replica: task.replica))
    }
    for node in nodes {
      guard work.tree.nodes[node].depth > work.tree.nodes[task.begun].depth else {
        for run in work.tree.edge(node) { try body(.apply(run)) }
        continue
      }
      let isAveraged = isAveraged(node, in: work)
      var position = work.tree.nodes[node].edgeStart
      for run in work.tree.edge(node) {
        var rest: BatchRun? = run
        while let run = rest {
          // Paths are cut at multiples of the interval, so that a resumed plan stores the same states.
          let untilCheckpoint = checkpointInterval.map { $0 - position % $0 } ?? .max
          let stretch = run.count > untilCheckpoint ? run.prefix(untilCheckpoint) : run
          try body(isAveraged ? .applyAveraging(stretch) : .apply(stretch))
          position += stretch.count
          let isEnd = checkpointInterval != nil && node == work.averagedEnd && position == work.tree.nodes[node].depth
          if stretch.count == untilCheckpoint || isEnd { try body(.checkpoint) }
          rest = stretch.count < run.count ? run.suffix(from: stretch.count) : nil
        }
      }
      let wanted = work.tree.wanted(node)
      if !wanted.isEmpty { try body(.observe(wanted)) }
      if observesAverages(node, in: work) { try body(.observeAverages(n: work.tree.nodes[node].depth)) }
    }
    if let target = task.target { try body(.save(slot: target.number, tier: target.tier)) }
  }

  /// Whether the edge that leads to `node` is part of the averaged path.
  private func isAveraged(_ node: Int, in work: Work) -> Bool { !work.averaged.isEmpty && work.averaged[node] }

  private func observesAverages(_ node: Int, in work: Work) -> Bool {
    guard isAveraged(node, in: work) else { return false }
    return work.tree.wanted(node).contains {
      orders[$0.order] == .forward && !work.averagesObserved.contains($0.n)
    }
  }

  /// The nodes a task reaches, in its order.
  private func nodes(of task: Task) -> [Int] {
    let tree = work(of: task).tree
    var nodes: [Int] = []
    var node = task.last
    while node != task.origin {
      nodes.append(node)
      node = tree.nodes[node].parent
    }
    return nodes.reversed()
  }

  /// How long the replay takes, in updates: no less than the lanes' share of all work, nor than the longest chain of
  /// tasks that wait for each other.
  /// - Parameters:
  ///   - lanes: how many follow the plan at once.
  ///   - observationCost: of one observation, in updates.
  public func duration(lanes: Int, observationCost: Double) -> Double {
    var work = observationCost * Double(averageObservationCount)
    var longest = 0.0
    var finish = [Double](repeating: 0, count: tasks.count)
    for index in tasks.indices {
      var begin = 0.0
      for earlier in prerequisites(ofTask: index) { begin = max(begin, finish[earlier]) }
      let cost = cost(tasks[index], observationCost: observationCost)
      finish[index] = begin + cost
      longest = max(longest, finish[index])
      work += cost
    }
    return max(longest, work / Double(lanes))
  }

  private func cost(_ task: Task, observationCost: Double) -> Double {
    let tree = work(of: task).tree
    var seconds = slotCosts.start
    if let source = task.source { seconds = source.tier == .disk ? slotCosts.read : 0 }
    if task.target?.tier == .disk { seconds += slotCosts.write }
    return nodes(of: task).reduce(seconds / slotCosts.step) { sum, node in
      let isObserved = !tree.nodes[node].wanted.isEmpty && tree.nodes[node].depth > tree.nodes[task.begun].depth
      return sum + Double(tree.edgeLength(node)) + (isObserved ? observationCost : 0)
    }
  }
}

extension Int {
  /// The sum of two numbers that are not negative, or `Int.max` where it is larger.
  func addingClamped(_ other: Int) -> Int {
    let (sum, isTooLarge) = addingReportingOverflow(other)
    return isTooLarge ? .max : sum
  }
}
