/// Divides trees into segments and assigns slots to their branching states.
struct SegmentBuilder {
  private(set) var memorySlots: SlotRotation
  private(set) var diskSlots: SlotRotation
  private(set) var segments: [ReplayPlan.Segment] = []
  private(set) var prerequisiteStarts = [0]
  private(set) var prerequisiteList: [Int32] = []
  /// The last segment on each replica's averaged path. A replica has one set of running averages, so these segments
  /// must follow each other.
  private var lastAveraging: [Int: Int] = [:]

  init(memorySlots: SlotRotation, diskSlots: SlotRotation) {
    self.memorySlots = memorySlots
    self.diskSlots = diskSlots
  }

  /// A branching state with the subtrees that have not been started from it yet.
  private struct Branching {
    let node: Int
    /// The children for which the state is computed again.
    var replayed: ArraySlice<Int>
    /// The children that start from the slot the state is kept in.
    var kept: ArraySlice<Int>
    let tier: SlotTier?
    let isReleasedForLast: Bool
    /// The index in the open branchings of the one it is computed again from; nil for the replica's start.
    let source: Int?
    /// The slot and the segment that writes it, once the state is kept.
    var held: (slot: Slot, writer: Int)?
    /// The segments that load the state.
    var readers: [Int] = []

    init(_ node: Int, _ decision: SlotPlacement.Decision, source: Int?) {
      self.node = node
      self.source = source
      replayed = decision.replayed[...]
      kept = decision.kept[...]
      tier = decision.tier
      isReleasedForLast = decision.isReleasedForLast
    }
  }

  /// Adds the segments of one subtree of the root, depth first. Without a placement every branching state is kept in
  /// memory. Its cheapest child comes first and its most expensive child last. When that last child is started, the
  /// state is no longer needed, so one lane never keeps more than log₂ of the number of leaves.
  mutating func addSegments(
    below first: Int, replica: Int, work: ReplayPlan.ReplicaPlan, subtrees: SubtreeOrder, placement: SlotPlacement?
  ) {
    func decision(_ node: Int) -> SlotPlacement.Decision {
      placement?.decisions[node] ?? SlotPlacement.Decision(tier: .memory, kept: Array(subtrees.children(node)))
    }
    // The branchings that are kept in slots or still to be visited, from the root down.
    var open: [Branching] = []

    /// Adds the segment that continues from the node `begun` to its child, and on to a leaf or to a state that is
    /// kept.
    /// - Parameters:
    ///   - origin: The kept state where the segment starts: `begun` itself or one above it; nil for the replica's
    ///     start.
    ///   - source: The branching from which states below are computed again.
    func addSegment(from origin: Branching?, begun: Int, child: Int, source: Int?) {
      var last = child
      var target: (slot: Slot, readers: [Int])?
      while target == nil, let only = subtrees.children(last).first {
        guard subtrees.children(last).count > 1 else {
          last = only
          continue
        }
        var branching = Branching(last, decision(last), source: source)
        if let next = branching.replayed.popFirst() {
          last = next
        } else if let tier = branching.tier {
          let slot = take(tier)
          branching.held = (slot.slot, segments.count)
          target = slot
        }
        open.append(branching)
      }
      let isAveraged = !work.averaged.isEmpty && work.averaged[child]
      let segment = ReplayPlan.Segment(
        replica: replica, origin: origin?.node ?? PrefixTree.root, begun: begun, last: last,
        source: origin?.held?.slot, target: target?.slot)
      append(segment, after: Set(target?.readers ?? []).union([origin?.held?.writer].compactMap { $0 }), averages: isAveraged)
    }

    /// The open branching at `source`, which the next segment loads.
    func read(_ source: Int?) -> Branching? {
      guard let source else { return nil }
      open[source].readers.append(segments.count)
      return open[source]
    }

    addSegment(from: nil, begun: PrefixTree.root, child: first, source: nil)
    while var top = open.popLast() {
      if let child = top.replayed.popFirst() {
        if !top.replayed.isEmpty || !top.kept.isEmpty { open.append(top) }
        addSegment(from: read(top.source), begun: top.node, child: child, source: top.source)
      } else if let tier = top.tier, top.held == nil {
        let origin = read(top.source)
        let slot = take(tier)
        top.held = (slot.slot, segments.count)
        open.append(top)
        let segment = ReplayPlan.Segment(
          replica: replica, origin: origin?.node ?? PrefixTree.root, begun: top.node, last: top.node,
          source: origin?.held?.slot, target: slot.slot)
        append(segment, after: Set(slot.readers).union([origin?.held?.writer].compactMap { $0 }), averages: false)
      } else if let child = top.kept.popFirst() {
        if top.kept.isEmpty && top.isReleasedForLast {
          top.readers.append(segments.count)
          free(top)
          addSegment(from: top, begun: top.node, child: child, source: top.source)
        } else {
          open.append(top)
          addSegment(from: read(open.count - 1), begun: top.node, child: child, source: open.count - 1)
        }
      } else {
        free(top)
      }
    }
  }

  private mutating func append(_ segment: ReplayPlan.Segment, after earlier: Set<Int>, averages: Bool) {
    let index = segments.count
    var earlier = earlier
    if averages, let previous = lastAveraging.updateValue(index, forKey: segment.replica) { earlier.insert(previous) }
    // A segment may save into the slot it has loaded from, but does not wait for itself.
    earlier.remove(index)
    prerequisiteList += earlier.sorted().map { Int32($0) }
    prerequisiteStarts.append(prerequisiteList.count)
    segments.append(segment)
  }

  private mutating func take(_ tier: SlotTier) -> (slot: Slot, readers: [Int]) {
    switch tier {
    case .memory: memorySlots.take()
    case .disk: diskSlots.take()
    }
  }

  private mutating func free(_ branching: Branching) {
    guard let slot = branching.held?.slot else { return }
    switch slot.tier {
    case .memory: memorySlots.free(slot, readers: branching.readers)
    case .disk: diskSlots.free(slot, readers: branching.readers)
    }
  }
}

/// The slots of one tier, each with the segments that read its last content. Free slots are reused in the order they
/// were freed.
struct SlotRotation {
  private let tier: SlotTier
  /// Up to this number, new slots are made rather than old ones reused.
  private let preferredCount: Int
  private(set) var count = 0
  private var freed: [(slot: Slot, readers: [Int])] = []

  init(_ tier: SlotTier, preferredCount: Int) {
    self.tier = tier
    self.preferredCount = preferredCount
  }

  mutating func take() -> (slot: Slot, readers: [Int]) {
    if count >= preferredCount && !freed.isEmpty { return freed.removeFirst() }
    count += 1
    return (Slot(tier: tier, number: count - 1), [])
  }

  mutating func free(_ slot: Slot, readers: [Int]) {
    freed.append((slot, readers))
  }
}
