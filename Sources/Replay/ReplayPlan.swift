/// One step of a plan. Instructions carry no logic: whoever follows them ends with the planned iterates.
public enum ReplayInstruction: Hashable, Sendable {
  /// The lane's state becomes the replica's initial state.
  case start(replica: Int)
  /// The lane's state becomes a copy of the slot's.
  case load(slot: Int)
  /// Applies the run's batches to the lane's state, first to last.
  case apply(BatchRun)
  /// `apply`, and after every single update the state enters the replica's running average.
  case applyAveraging(BatchRun)
  /// The slot takes a copy of the lane's state. All readers of what it held have released it.
  case save(slot: Int)
  /// This reader needs the slot no more.
  case release(slot: Int)
  /// The lane's state is these iterates.
  case observe([Iterate])
  /// The replica's running average stands at iterate n of the averaged order.
  case observeAverage(n: Int)
}

extension ReplayInstruction: CustomStringConvertible {
  public var description: String {
    switch self {
    case .start(let replica): "start \(replica)"
    case .load(let slot): "load \(slot)"
    case .apply(let run): "apply \(run)"
    case .applyAveraging(let run): "apply-averaging \(run)"
    case .save(let slot): "save \(slot)"
    case .release(let slot): "release \(slot)"
    case .observe(let iterates): "observe " + iterates.map { "\($0.order):\($0.n)" }.joined(separator: " ")
    case .observeAverage(let n): "observe-average \(n)"
    }
  }
}

/// How to produce every wanted iterate with the least number of gradient evaluations.
///
/// A plan is a list of tasks, each a straight line of instructions for one lane. Followed one after the other they
/// are a complete replay; a lane may also take any task whose `prerequisites` are done. Instructions are made when
/// asked for and never stored, so that a plan over a million batches takes room for its observations only.
public struct ReplayPlan: Sendable {
  /// A stretch of the prefix tree: from below a branching state to the next, or to a leaf.
  struct Task: Sendable {
    let replica: Int
    /// The first and the last node it reaches, one below the other.
    let first: Int
    let last: Int
    /// The slot with the state it starts from; nil: the initial state.
    let source: Int?
    /// The slot its last state goes to; nil: none.
    let target: Int?
  }

  public let orders: [CompositionOrder]
  /// How many times all iterates are wanted, each with its own initial state and batches.
  public let replicas: Int
  /// States the plan keeps at once, besides those of the lanes.
  public let slotCount: Int
  let tree: PrefixTree
  let tasks: [Task]
  /// For every node whether its edge belongs to the averaged order's path; empty without one.
  let averaged: [Bool]
  /// Which tasks must be done before a task may begin: those of task i are
  /// `prerequisiteList[prerequisiteStarts[i]..<prerequisiteStarts[i + 1]]`.
  let prerequisiteStarts: [Int]
  let prerequisiteList: [Int32]

  public var taskCount: Int { tasks.count }

  /// Updates the replay applies, all replicas together.
  public var gradientEvaluations: Int { tree.totalLength * replicas }

  /// States that are observed, running averages not counted.
  public var observationCount: Int {
    tree.nodes.count { !$0.wanted.isEmpty } * replicas
  }

  /// Observations of running averages.
  public var averageObservationCount: Int {
    tree.nodes.indices.count { observesAverage($0) } * replicas
  }

  /// Tasks that must be done before task `index` begins; all come earlier in the list.
  public func prerequisites(ofTask index: Int) -> some Collection<Int> {
    prerequisiteList[prerequisiteStarts[index]..<prerequisiteStarts[index + 1]].lazy.map(Int.init)
  }

  /// Gives `body` the instructions of task `index`, first to last.
  public func forEachInstruction(
    ofTask index: Int, _ body: (ReplayInstruction) throws -> Void
  ) rethrows {
    let task = tasks[index]
    if let source = task.source {
      try body(.load(slot: source))
      try body(.release(slot: source))
    } else {
      try body(.start(replica: task.replica))
    }
    for node in nodes(of: task) {
      let isAveraged = !averaged.isEmpty && averaged[node]
      for run in tree.edge(node) { try body(isAveraged ? .applyAveraging(run) : .apply(run)) }
      let wanted = tree.wanted(node)
      if !wanted.isEmpty { try body(.observe(Array(wanted))) }
      if observesAverage(node) { try body(.observeAverage(n: tree.nodes[node].depth)) }
    }
    if let target = task.target { try body(.save(slot: target)) }
  }

  private func observesAverage(_ node: Int) -> Bool {
    !averaged.isEmpty && averaged[node] && tree.wanted(node).contains { orders[$0.order] == .forward }
  }

  /// The nodes a task reaches, in its order.
  private func nodes(of task: Task) -> [Int] {
    var nodes = [task.last]
    while let node = nodes.last, node != task.first { nodes.append(tree.nodes[node].parent) }
    return nodes.reversed()
  }

  /// Updates on the longest chain of tasks that wait for each other, replicas apart: the least time any number of
  /// lanes can take, in updates.
  public func longestChain(observationCost: Double) -> Double {
    var longest = 0.0
    var finish = [Double](repeating: 0, count: tasks.count)
    for index in tasks.indices {
      var begin = 0.0
      for earlier in prerequisites(ofTask: index) { begin = max(begin, finish[earlier]) }
      let work = nodes(of: tasks[index]).reduce(0.0) {
        $0 + Double(tree.edgeLength($1)) + (tree.nodes[$1].wanted.isEmpty ? 0 : observationCost)
      }
      finish[index] = begin + work
      longest = max(longest, finish[index])
    }
    return longest
  }
}
