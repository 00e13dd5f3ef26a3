/// How to produce every wanted iterate with the least number of gradient evaluations.
///
/// A plan is a list of segments, each a straight line of instructions for one lane. Followed one after the other they
/// are a complete replay; a lane may also take any segment whose `prerequisites` are done. Instructions are made when
/// asked for and never stored, so that a plan over a million batches takes room for its observations only.
public struct ReplayPlan: Sendable {
  /// A stretch of a prefix tree that ends at a leaf or at a branching state.
  struct Segment: Sendable {
    let replica: Int
    /// The node it starts from: one that is kept in a slot, or the root.
    let origin: Int
    /// The node below which it does what no segment did before; down to it, it makes states again.
    let begun: Int
    /// The node it ends at.
    let last: Int
    /// The slot with the state of `origin`; nil: the initial state, or a stored one if the first node below is that.
    let source: Slot?
    /// The slot its last state goes to; nil: none.
    let target: Slot?
  }

  /// What a plan holds for a replica: most often the same for all.
  struct ReplicaPlan: Sendable {
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
  let replicaPlans: [ReplicaPlan]
  /// Which of `replicaPlans` is a replica's.
  let planOfReplica: [Int]
  let segments: [Segment]
  /// Which segments must be done before a segment may begin: those of segment i are
  /// `prerequisiteList[prerequisiteStarts[i]..<prerequisiteStarts[i + 1]]`.
  let prerequisiteStarts: [Int]
  let prerequisiteList: [Int32]

  /// How many times iterates are wanted, each with its own initial state and batches.
  public var replicas: Int { planOfReplica.count }

  public var segmentCount: Int { segments.count }

  /// No plan has more updates than this: ten to the fifteenth, far beyond what can be waited for. All sums of updates fit into
  /// an `Int` up to there, and into a `Double` exactly.
  public static let mostUpdates = 1_000_000_000_000_000

  /// Updates the replay applies, all replicas together.
  public var gradientEvaluations: Int { sum { $0.tree.totalLength }.addingClamped(repeatedUpdates) }

  /// Of `gradientEvaluations`, those that make states again for which there was no slot.
  public var repeatedUpdates: Int { segments.reduce(0) { $0.addingClamped(repeatedUpdates($1)) } }

  private func repeatedUpdates(_ segment: Segment) -> Int {
    let nodes = work(of: segment).tree.nodes
    return nodes[segment.begun].depth - nodes[segment.origin].depth
  }

  /// States that are written to slots on disk.
  public var diskWrites: Int { segments.count { $0.target?.tier == .disk } }

  /// States that are read from slots on disk.
  public var diskReads: Int { segments.count { $0.source?.tier == .disk } }

  /// States that are observed, running averages not counted.
  public var observationCount: Int { sum { $0.tree.nodes.count { !$0.wanted.isEmpty } } }

  /// Observations of running averages.
  public var averageObservationCount: Int {
    averageCount * sum { work in work.tree.nodes.indices.count { observesAverages($0, in: work) } }
  }

  /// Running averages kept for each replica.
  public var averagesKept: Int { replicaPlans.contains { !$0.averaged.isEmpty } ? averageCount : 0 }

  private func sum(_ count: (ReplicaPlan) -> Int) -> Int {
    let counts = replicaPlans.map(count)
    return planOfReplica.reduce(0) { $0.addingClamped(counts[$1]) }
  }

  /// Segments that must be done before segment `index` begins; all come earlier in the list.
  public func prerequisites(ofSegment index: Int) -> some Collection<Int> {
    prerequisiteList[prerequisiteStarts[index]..<prerequisiteStarts[index + 1]].lazy.map(Int.init)
  }

  /// An iterate whose path segment `index` follows: every state of the segment is a point on it.
  public func path(ofSegment index: Int) -> Iterate { work(of: segments[index]).tree.example(segments[index].last) }

  public func replica(ofSegment index: Int) -> Int { segments[index].replica }

  /// How many updates states have that segment `index` only makes again, on the way from its origin to where it goes on.
  func repeatedPositions(ofSegment index: Int) -> Range<Int> {
    let nodes = work(of: segments[index]).tree.nodes
    return nodes[segments[index].origin].depth..<nodes[segments[index].begun].depth
  }

  private func work(of segment: Segment) -> ReplicaPlan { replicaPlans[planOfReplica[segment.replica]] }

  /// How many states are stored on the way, and how many running averages with them.
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

  /// The stored states that segments begin with.
  public var restoredStates: [(replica: Int, stored: Int)] {
    segments.compactMap { segment in
      guard segment.source == nil, let first = nodes(of: segment).first else { return nil }
      return work(of: segment).tree.nodes[first].stored.map { (segment.replica, $0) }
    }
  }

  /// Gives `body` the instructions of segment `index`, first to last.
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
      // Elsewhere the averages belong to whichever segment is on the averaged path, which may be in the midst of it.
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

  /// The nodes a segment reaches, in its order.
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

  /// How long the replay takes, in updates: no less than the lanes' share of all work, nor than the longest chain of
  /// segments that wait for each other.
  /// - Parameters:
  ///   - lanes: how many follow the plan at once.
  ///   - observationCost: of one observation, in updates.
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
  /// The sum of two numbers that are not negative, or `Int.max` where it is larger.
  func addingClamped(_ other: Int) -> Int {
    let (sum, isTooLarge) = addingReportingOverflow(other)
    return isTooLarge ? .max : sum
  }
}
