/// Instructions that produce every wanted iterate with the least number of gradient evaluations.
///
/// A plan is a list of segments, each a straight sequence of instructions for one lane. Executed in order, the
/// segments are a complete replay; a lane may also take any segment whose `prerequisites` are done. Instructions are
/// computed when they are needed and never stored, so a plan over a million batches takes memory for its observations
/// only.
public struct ReplayPlan: Sendable {
  /// A stretch of a prefix tree that ends at a leaf or at a branching state.
  struct Segment: Sendable {
    let replica: Int
    /// The node where the segment starts: one whose state is in a slot, or the root.
    let origin: Int
    /// The node below which the segment computes new states. Down to it, the segment computes states again.
    let begun: Int
    /// The node where the segment ends.
    let last: Int
    /// The slot with the state of `origin`. Nil for the initial state, or for a stored state if the first node below
    /// is one.
    let source: Slot?
    /// The slot that the segment's last state is saved to; nil if it is not kept.
    let target: Slot?
  }

  /// The part of a plan for a replica, which is usually the same for all replicas.
  struct ReplicaPlan: Sendable {
    let tree: PrefixTree
    /// For every node, whether its edge belongs to the averaged path; empty if nothing is averaged.
    let averaged: [Bool]
    /// The node at the end of the averaged path, if the plan reaches it.
    let averagedEnd: Int?
    /// The n at which running averages have been observed already.
    let averagesObserved: Set<Int>
  }

  public let orders: [CompositionOrder]
  /// The largest number of states kept in memory at once, besides those of the lanes.
  public let memorySlots: Int
  /// The largest number of states kept on disk at once.
  public let diskSlots: Int
  /// The costs by which slots were assigned.
  let slotCosts: SlotCosts
  /// The number of updates on a path from one checkpoint to the next; nil for no checkpoints.
  public let checkpointInterval: Int?
  /// The number of running averages of forward's iterates.
  let averageCount: Int
  let replicaPlans: [ReplicaPlan]
  /// The index in `replicaPlans` of each replica's plan.
  let planOfReplica: [Int]
  let segments: [Segment]
  /// The segments that must be done before a segment may begin: those of segment i are
  /// `prerequisiteList[prerequisiteStarts[i]..<prerequisiteStarts[i + 1]]`.
  let prerequisiteStarts: [Int]
  let prerequisiteList: [Int32]

  /// The number of replicas: iterates are produced once for each, with its own initial state and batches.
  public var replicas: Int { planOfReplica.count }

  public var segmentCount: Int { segments.count }

  /// The largest number of updates of a plan: ten to the fifteenth, far more than anyone can wait for. Up to this
  /// limit all sums of updates fit into an `Int`, and into a `Double` exactly.
  public static let mostUpdates = 1_000_000_000_000_000

  /// The number of updates that the replay applies, for all replicas together.
  public var gradientEvaluations: Int { sum { $0.tree.totalLength }.addingClamped(repeatedUpdates) }

  /// The updates, included in `gradientEvaluations`, that compute states again for lack of slots.
  public var repeatedUpdates: Int { segments.reduce(0) { $0.addingClamped(repeatedUpdates($1)) } }

  private func repeatedUpdates(_ segment: Segment) -> Int {
    let nodes = work(of: segment).tree.nodes
    return nodes[segment.begun].depth - nodes[segment.origin].depth
  }

  /// The number of states written to slots on disk.
  public var diskWrites: Int { segments.count { $0.target?.tier == .disk } }

  /// The number of states read from slots on disk.
  public var diskReads: Int { segments.count { $0.source?.tier == .disk } }

  /// The number of states observed, not counting running averages.
  public var observationCount: Int { sum { $0.tree.nodes.count { !$0.wanted.isEmpty } } }

  /// The number of observations of running averages.
  public var averageObservationCount: Int {
    averageCount * sum { work in work.tree.nodes.indices.count { observesAverages($0, in: work) } }
  }

  /// The number of running averages kept for each replica.
  public var averagesKept: Int { replicaPlans.contains { !$0.averaged.isEmpty } ? averageCount : 0 }

  private func sum(_ count: (ReplicaPlan) -> Int) -> Int {
    let counts = replicaPlans.map(count)
    return planOfReplica.reduce(0) { $0.addingClamped(counts[$1]) }
  }

  /// The segments that must be done before segment `index` begins. All of them come earlier in the list.
  public func prerequisites(ofSegment index: Int) -> some Collection<Int> {
    prerequisiteList[prerequisiteStarts[index]..<prerequisiteStarts[index + 1]].lazy.map(Int.init)
  }

  /// An iterate whose path contains every state of segment `index`.
  public func path(ofSegment index: Int) -> Iterate { work(of: segments[index]).tree.example(segments[index].last) }

  public func replica(ofSegment index: Int) -> Int { segments[index].replica }

  /// The update counts of the states that segment `index` only computes again, on the way from its origin to where it
  /// continues.
  func repeatedPositions(ofSegment index: Int) -> Range<Int> {
    let nodes = work(of: segments[index]).tree.nodes
    return nodes[segments[index].origin].depth..<nodes[segments[index].begun].depth
  }

  /// Whether segment `index` continues from one of the nodes in `marked`, or from a state below one.
  func continues(from marked: Set<Int>, segment index: Int) -> Bool {
    let nodes = work(of: segments[index]).tree.nodes
    var node = segments[index].begun
    while node != PrefixTree.root {
      if marked.contains(node) { return true }
      node = nodes[node].parent
    }
    return false
  }

  /// The nodes of segment `index` that are reached at an update count of `position` or more.
  func nodes(ofSegment index: Int, from position: Int) -> [Int] {
    let tree = work(of: segments[index]).tree
    return nodes(of: segments[index]).filter { tree.nodes[$0].depth >= position }
  }

  private func work(of segment: Segment) -> ReplicaPlan { replicaPlans[planOfReplica[segment.replica]] }

  /// The number of states stored by checkpoints, and of running averages stored with them.
  public var checkpointCounts: (states: Int, averages: Int) {
    guard let interval = checkpointInterval else { return (0, 0) }
    func stored(_ index: Int, in work: ReplicaPlan) -> Int {
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

  /// The stored states that segments start from.
  public var restoredStates: [(replica: Int, stored: Int)] {
    segments.compactMap { segment in
      guard segment.source == nil, let first = nodes(of: segment).first else { return nil }
      return work(of: segment).tree.nodes[first].stored.map { (segment.replica, $0) }
    }
  }

  /// Calls `body` with the instructions of segment `index`, from first to last.
  public func forEachInstruction(
    ofSegment index: Int, _ body: (ReplayInstruction) throws -> Void
  ) rethrows {
    let segment = segments[index]
    let work = work(of: segment)
    let nodes = nodes(of: segment)
    if let source = segment.source {
      try body(.load(slot: source.number, tier: source.tier))
      try body(.release(slot: source.number, tier: source.tier))
    } else if let stored = nodes.first.flatMap({ work.tree.nodes[$0].stored }) {
      // Otherwise the averages belong to the segment that is on the averaged path, which may be in the middle of it.
      let continuesAverages = segment.begun == PrefixTree.root && isAveraged(nodes[0], in: work)
      try body(.restore(replica: segment.replica, stored: stored, averages: continuesAverages))
    } else {
      try body(.start(replica: segment.replica))
    }
    for node in nodes {
      guard work.tree.nodes[node].depth > work.tree.nodes[segment.begun].depth else {
        for run in work.tree.edge(node) { try body(.apply(run)) }
        continue
      }
      let isAveraged = isAveraged(node, in: work)
      var position = work.tree.nodes[node].edgeStart
      for run in work.tree.edge(node) {
        var rest: BatchRun? = run
        while let run = rest {
          // Paths are divided at multiples of the interval, so that a resumed plan stores the same states.
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
    if let target = segment.target { try body(.save(slot: target.number, tier: target.tier)) }
  }

  /// Whether the edge that leads to `node` is part of the averaged path.
  private func isAveraged(_ node: Int, in work: ReplicaPlan) -> Bool { !work.averaged.isEmpty && work.averaged[node] }

  private func observesAverages(_ node: Int, in work: ReplicaPlan) -> Bool {
    guard isAveraged(node, in: work) else { return false }
    return work.tree.wanted(node).contains {
      orders[$0.order] == .forward && !work.averagesObserved.contains($0.n)
    }
  }

  /// The nodes that a segment reaches, in order.
  private func nodes(of segment: Segment) -> [Int] {
    let tree = work(of: segment).tree
    var nodes: [Int] = []
    var node = segment.last
    while node != segment.origin {
      nodes.append(node)
      node = tree.nodes[node].parent
    }
    return nodes.reversed()
  }

  /// The duration of the replay, in updates. It is at least the lanes' share of all work, and at least the longest
  /// chain of segments that wait for each other.
  /// - Parameter observationCost: The cost of one observation, in updates.
  public func duration(lanes: Int, observationCost: Double) -> Double {
    var work = observationCost * Double(averageObservationCount)
    var longest = 0.0
    var finish = [Double](repeating: 0, count: segments.count)
    for index in segments.indices {
      var begin = 0.0
      for earlier in prerequisites(ofSegment: index) { begin = max(begin, finish[earlier]) }
      let cost = cost(segments[index], observationCost: observationCost)
      finish[index] = begin + cost
      longest = max(longest, finish[index])
      work += cost
    }
    return max(longest, work / Double(lanes))
  }

  private func cost(_ segment: Segment, observationCost: Double) -> Double {
    let tree = work(of: segment).tree
    var seconds = slotCosts.start
    if let source = segment.source { seconds = source.tier == .disk ? slotCosts.read : 0 }
    if segment.target?.tier == .disk { seconds += slotCosts.write }
    return nodes(of: segment).reduce(seconds / slotCosts.step) { sum, node in
      let isObserved = !tree.nodes[node].wanted.isEmpty && tree.nodes[node].depth > tree.nodes[segment.begun].depth
      return sum + Double(tree.edgeLength(node)) + (isObserved ? observationCost : 0)
    }
  }
}

extension Int {
  /// The sum of two numbers that are not negative, or `Int.max` if it overflows.
  func addingClamped(_ other: Int) -> Int {
    let (sum, isTooLarge) = addingReportingOverflow(other)
    return isTooLarge ? .max : sum
  }
}
