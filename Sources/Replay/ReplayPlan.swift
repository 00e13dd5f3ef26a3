/// How to produce every wanted iterate with the least number of gradient evaluations.
///
/// A plan is a list of tasks, each a straight line of instructions for one lane. Followed one after the other they
/// are a complete replay; a lane may also take any task whose `prerequisites` are done. Instructions are made when
/// asked for and never stored, so that a plan over a million batches takes room for its observations only.
public struct ReplayPlan: Sendable {
  /// A stretch of a prefix tree: from below a branching state to the next, or to a leaf.
  struct Task: Sendable {
    let replica: Int
    /// The first and the last node it reaches, one below the other.
    let first: Int
    let last: Int
    /// The slot with the state it starts from; nil: the initial state, or a stored one if the first node is that.
    let source: Int?
    /// The slot its last state goes to; nil: none.
    let target: Int?
  }

  /// What is to be done for some replicas: most often the same for all.
  struct Work: Sendable {
    let tree: PrefixTree
    /// For every node whether its edge belongs to the averaged order's path; empty without one.
    let averaged: [Bool]
    /// The averaged iterates that have been observed already.
    let averagesObserved: Set<Int>
  }

  public let orders: [CompositionOrder]
  /// States the plan keeps at once, besides those of the lanes.
  public let slotCount: Int
  /// Every so many updates of a path its state is stored; nil: never.
  public let checkpointInterval: Int?
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

  /// Updates the replay applies, all replicas together.
  public var gradientEvaluations: Int { sum { $0.tree.totalLength } }

  /// States that are observed, running averages not counted.
  public var observationCount: Int { sum { $0.tree.nodes.count { !$0.wanted.isEmpty } } }

  /// Observations of running averages.
  public var averageObservationCount: Int {
    sum { work in work.tree.nodes.indices.count { observesAverage($0, in: work) } }
  }

  /// Whether running averages are kept.
  public var hasAverages: Bool { works.contains { !$0.averaged.isEmpty } }

  private func sum(_ count: (Work) -> Int) -> Int {
    let counts = works.map(count)
    return workOfReplica.reduce(0) { $0 + counts[$1] }
  }

  /// Tasks that must be done before task `index` begins; all come earlier in the list.
  public func prerequisites(ofTask index: Int) -> some Collection<Int> {
    prerequisiteList[prerequisiteStarts[index]..<prerequisiteStarts[index + 1]].lazy.map(Int.init)
  }

  /// An iterate whose path task `index` follows: every state of the task is a point on it.
  public func path(ofTask index: Int) -> Iterate { work(of: tasks[index]).tree.example(tasks[index].last) }

  public func replica(ofTask index: Int) -> Int { tasks[index].replica }

  private func work(of task: Task) -> Work { works[workOfReplica[task.replica]] }

  /// Whether any state is stored on the way.
  public var storesStates: Bool {
    guard let interval = checkpointInterval else { return false }
    return works.contains { work in
      work.tree.nodes.indices.contains {
        work.tree.isNeeded[$0] && work.tree.nodes[$0].depth / interval > work.tree.nodes[$0].edgeStart / interval
      }
    }
  }

  /// The stored states that tasks begin with.
  public var restoredStates: [(replica: Int, stored: Int)] {
    tasks.compactMap { task in
      guard task.source == nil else { return nil }
      return work(of: task).tree.nodes[task.first].stored.map { (task.replica, $0) }
    }
  }

  /// Gives `body` the instructions of task `index`, first to last.
  public func forEachInstruction(
    ofTask index: Int, _ body: (ReplayInstruction) throws -> Void
  ) rethrows {
    let task = tasks[index]
    let work = work(of: task)
    if let source = task.source {
      try body(.load(slot: source))
      try body(.release(slot: source))
    } else if let stored = work.tree.nodes[task.first].stored {
      try body(.restore(replica: task.replica, stored: stored))
    } else {
      try body(.start(replica: task.replica))
    }
    for node in nodes(of: task) {
      let isAveraged = !work.averaged.isEmpty && work.averaged[node]
      var position = work.tree.nodes[node].edgeStart
      for run in work.tree.edge(node) {
        var rest: BatchRun? = run
        while let run = rest {
          // Paths are cut at multiples of the interval, so that a resumed plan stores the same states.
          let untilCheckpoint = checkpointInterval.map { $0 - position % $0 } ?? .max
          let stretch = run.count > untilCheckpoint ? run.prefix(untilCheckpoint) : run
          try body(isAveraged ? .applyAveraging(stretch) : .apply(stretch))
          position += stretch.count
          if stretch.count == untilCheckpoint { try body(.checkpoint) }
          rest = stretch.count < run.count ? run.suffix(from: stretch.count) : nil
        }
      }
      let wanted = work.tree.wanted(node)
      if !wanted.isEmpty { try body(.observe(wanted)) }
      if observesAverage(node, in: work) { try body(.observeAverage(n: work.tree.nodes[node].depth)) }
    }
    if let target = task.target { try body(.save(slot: target)) }
  }

  private func observesAverage(_ node: Int, in work: Work) -> Bool {
    guard !work.averaged.isEmpty, work.averaged[node] else { return false }
    return work.tree.wanted(node).contains {
      orders[$0.order] == .forward && !work.averagesObserved.contains($0.n)
    }
  }

  /// The nodes a task reaches, in its order.
  private func nodes(of task: Task) -> [Int] {
    var nodes = [task.last]
    while let node = nodes.last, node != task.first { nodes.append(work(of: task).tree.nodes[node].parent) }
    return nodes.reversed()
  }

  /// Updates on the longest chain of tasks that wait for each other: the least time any number of lanes can take, in
  /// updates.
  public func longestChain(observationCost: Double) -> Double {
    var longest = 0.0
    var finish = [Double](repeating: 0, count: tasks.count)
    for index in tasks.indices {
      var begin = 0.0
      for earlier in prerequisites(ofTask: index) { begin = max(begin, finish[earlier]) }
      let tree = work(of: tasks[index]).tree
      finish[index] = nodes(of: tasks[index]).reduce(begin) {
        $0 + Double(tree.edgeLength($1)) + (tree.nodes[$1].wanted.isEmpty ? 0 : observationCost)
      }
      longest = max(longest, finish[index])
    }
    return longest
  }
}
