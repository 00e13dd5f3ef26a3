/// Decides where branching states are kept, so that a depth-first walk of a prefix tree with M memory slots takes the
/// least time: in memory, on disk, or nowhere. A state that is not kept is replayed from the nearest one that is.
///
/// A lane that has reached a branching state v goes down to one child after the other. Let s be the kept state above
/// v from which v is computed again in the least time x, which is that of the updates from s to v and of loading s.
/// Below v nothing else about the states above matters, so the least extra time F for everything below v depends on x
/// and on the number m of free memory slots. A child c, n_c updates below v, is visited from s or from v:
///
///     F(v, x, m) = min over tiers and one child l of   f(l) + w + Σ_{c ≠ l} min(x + F(c, x + n_c, m), r + F(c, r + n_c, m')),
///
/// where w = r = 0 and m' = m − 1 if v is kept in memory, and w = write, r = read and m' = m if it is kept on disk.
/// The child l needs no way back. It is the last one, for which v's slot is given up (f(l) = r + F(l, x + n_l, m)) or
/// kept (f(l) = r + F(l, r + n_l, m')), or, if v is not kept at all, the one the lane continues to at once (f(l) =
/// F(l, x + n_l, m)). Tests compare this with a search over all uses of slots on small trees.
///
/// As a function of x, F is a minimum of lines (`CostCurve`): the slope is the number of ways back to s, and the
/// intercept does not depend on where s is. This replaces a value for every s above: about √(2 write) lines remain,
/// and as many as there are updates in a read if s may be in memory. If there are as many free slots as v's subtree
/// can use, F is 0; the most common tree, a path with teeth, can use 1. So only those m are computed that matter for
/// the tree's root.
struct SlotPlacement {
  /// The decision for a branching state.
  struct Decision {
    /// The children visited while the state is not kept, from first to last. The lane continues to the first one; for
    /// each of the others, and for keeping the state afterwards, the state is computed again.
    var replayed: [Int] = []
    /// The tier in which the state is kept for the other children; nil if there are none.
    var tier: SlotTier?
    /// The children visited from the kept state, from first to last.
    var kept: [Int] = []
    /// Whether the state's slot is given up before the last of `kept` is visited.
    var isReleasedForLast = true
  }

  /// The decision for each node; empty for nodes that do not branch.
  private(set) var decisions: [Decision]

  private let tree: PrefixTree
  private let subtrees: SubtreeOrder
  private let memorySlots: Int
  /// The costs of writing and reading a state, in updates.
  private let write: Double
  private let read: Double
  /// The first branching node at or below each node; −1 if there is none.
  private var branchings: [Int32]
  /// The number of memory slots that are of use at and below each node: about log₂ of the leaves.
  private var usefulSlots: [UInt8]
  /// For each node, the m for which its F matters and is not 0, one bit each.
  private var rows: [UInt64]
  /// The lines of F. Those of branching node i for the k-th of its m are the lines of curve `curves[i] + k`, which
  /// begin at `starts[curves[i] + k]`.
  private var lines: [CostCurve.Line] = []
  private var starts: [Int] = [0]
  private var curves: [Int32]

  /// The approximate number of lines there is room for (16 MiB), whatever the size of the tree. If there are more,
  /// the least important ones are left out of all curves, so plans of very large trees may take slightly more than
  /// the least time.
  private static let mostLines = 1 << 20
  private static let fewestLines = 8

  /// - Parameter checkpoint: Called at every step, so that long work can be cancelled.
  init(
    of tree: PrefixTree, subtrees: SubtreeOrder, memorySlots: Int, costs slotCosts: SlotCosts, checkpoint: () throws -> Void
  ) rethrows {
    self.tree = tree
    self.subtrees = subtrees
    self.memorySlots = memorySlots
    write = slotCosts.write / slotCosts.step
    read = slotCosts.read / slotCosts.step
    decisions = Array(repeating: Decision(), count: tree.nodes.count)
    branchings = Array(repeating: -1, count: tree.nodes.count)
    usefulSlots = Array(repeating: 0, count: tree.nodes.count)
    rows = Array(repeating: 0, count: tree.nodes.count)
    curves = Array(repeating: 0, count: tree.nodes.count)
    let deepestFirst = try tree.nodesDeepestFirst(checkpoint)
    for node in deepestFirst {
      try checkpoint()
      let children = subtrees.children(node)
      guard let first = children.first else { continue }
      guard children.count > 1 else {
        (branchings[node], usefulSlots[node]) = (branchings[first], usefulSlots[first])
        continue
      }
      branchings[node] = Int32(node)
      // The child that can use most slots comes last, when the node's own slot is free again.
      let useful = children.map { usefulSlots[$0] }.sorted()
      usefulSlots[node] = max(useful[useful.count - 1], useful[useful.count - 2] + 1)
    }
    let start = slotCosts.start / slotCosts.step
    try computeCurves(deepestFirst, start: start, checkpoint: checkpoint)
    for child in subtrees.children(PrefixTree.root) {
      // A state that was stored before the replay is restored only once.
      let isStored = tree.nodes[child].stored != nil
      try settle(child, distance: isStored ? .infinity : start + Double(tree.nodes[child].depth), checkpoint: checkpoint)
    }
  }

  private mutating func computeCurves(
    _ deepestFirst: [Int], start: Double, checkpoint: () throws -> Void
  ) rethrows {
    /// The nearest branching node above each node; the root if there is none.
    var above = [Int32](repeating: Int32(PrefixTree.root), count: tree.nodes.count)
    for child in subtrees.children(PrefixTree.root) where memorySlots < usefulSlots[child] { rows[child] = 1 << memorySlots }
    var count = 0
    for node in deepestFirst.reversed() {
      let children = subtrees.children(node)
      let isBranching = children.count > 1
      rows[node] &= (1 << UInt64(usefulSlots[node])) - 1
      for child in children {
        rows[child] |= isBranching ? rows[node] | rows[node] >> 1 : rows[node]
        above[child] = isBranching ? Int32(node) : above[node]
      }
      if isBranching { count += rows[node].nonzeroBitCount }
    }
    let most = max(Self.fewestLines, Self.mostLines / max(1, count))
    for node in deepestFirst where branchings[node] == node && rows[node] != 0 {
      try checkpoint()
      curves[node] = Int32(starts.count - 1)
      let depth = Double(tree.nodes[node].depth)
      let ancestor = Int(above[node])
      for free in 0..<Int(usefulSlots[node]) where rows[node] & (1 << UInt64(free)) != 0 {
        // The nearest place from which the state can be computed again. It is not in memory if all slots are free.
        let loading = free == memorySlots ? read : 0
        let nearest = ancestor == PrefixTree.root ? start + depth : depth - Double(tree.nodes[ancestor].depth) + loading
        let curve = curve(of: node, free: free).from(min(nearest, start + depth)).thinned(to: most)
        lines += curve.lines
        starts.append(lines.count)
      }
    }
  }

  /// F of the first branching node at or below `node`, as a function of the distance to it.
  private func storedCurve(below node: Int, free: Int) -> CostCurve {
    guard free < usefulSlots[node] else { return CostCurve(0) }
    let branching = Int(branchings[node])
    let index = Int(curves[branching]) + (rows[branching] & ((1 << UInt64(free)) - 1)).nonzeroBitCount
    return CostCurve(stored: lines[starts[index]..<starts[index + 1]])
  }

  /// The number of updates from a node to the first branching node at or below its child; 0 if there is none.
  private func length(from node: Int, to child: Int) -> Double {
    let branching = Int(branchings[child])
    return branching < 0 ? 0 : Double(tree.nodes[branching].depth - tree.nodes[node].depth)
  }

  /// F of a branching node, computed from those of the nodes below.
  private func curve(of node: Int, free: Int) -> CostCurve {
    let children = subtrees.children(node)
    let unkept = children.map { storedCurve(below: $0, free: free).shifted(by: length(from: node, to: $0)) }
    var least = unkept.reduce(CostCurve(0), +).adding(0, times: Double(children.count - 1)).lines
    for tier in [SlotTier.memory, .disk] where tier == .disk || free > 0 {
      let (write, read, left) = tier == .disk ? (write, read, free) : (0, 0, free - 1)
      let kept = children.map { read + storedCurve(below: $0, free: left).value(at: read + length(from: node, to: $0)) }
      let visits = zip(unkept, kept).map { unkept, kept in
        CostCurve(least: unkept.adding(0, times: 1).lines + CostCurve(kept).lines)
      }
      // The sums over all children before each child, and over all after it.
      var before = [CostCurve(write)]
      for visit in visits { before.append(before[before.count - 1] + visit) }
      var after = CostCurve(0)
      var isLeafDone = false
      for place in visits.indices.reversed() {
        // All leaves are equivalent, so one is enough.
        let isLeaf = branchings[children[children.startIndex + place]] < 0
        if !isLeaf || !isLeafDone {
          let last = CostCurve(least: unkept[place].adding(read).lines + CostCurve(kept[place]).lines)
          least += (before[place] + after + last).lines
        }
        isLeafDone = isLeafDone || isLeaf
        after = after + visits[place]
      }
    }
    return CostCurve(least: least)
  }

  /// F for everything below `node`, from a source at the given distance above its parent.
  private func cost(below node: Int, from parent: Int, distance: Double, free: Int) -> Double {
    guard free < usefulSlots[node] else { return 0 }
    return storedCurve(below: node, free: free).value(at: distance + length(from: parent, to: node))
  }

  /// The decision for a branching node.
  private func decide(_ node: Int, distance: Double, free: Int) -> Decision {
    let children = subtrees.children(node)
    guard free < usefulSlots[node] else {
      // There is a slot for every state that needs one. A child that needs all of them comes last, or else the most
      // expensive one.
      let last = children.firstIndex { usefulSlots[$0] >= free } ?? children.index(before: children.endIndex)
      return Decision(tier: .memory, kept: children.indices.filter { $0 != last }.map { children[$0] } + [children[last]])
    }
    let unkept = children.map { cost(below: $0, from: node, distance: distance, free: free) }
    var best = (
      cost: unkept.reduce(Double(children.count - 1) * distance, +), decision: Decision(replayed: Array(children))
    )
    for tier in [SlotTier.memory, .disk] where tier == .disk || free > 0 {
      let read = tier == .disk ? read : 0
      let left = tier == .disk ? free : free - 1
      let kept = children.map { read + cost(below: $0, from: node, distance: read, free: left) }
      let replayed = unkept.map { distance + $0 }
      let total = zip(kept, replayed).reduce(tier == .disk ? write : 0) { $0 + min($1.0, $1.1) }
      // Among equally good choices the most expensive child comes last, so that lanes have much work at the end.
      for last in children.indices.reversed() {
        let place = last - children.startIndex
        let released = read + unkept[place]
        let sum = total - min(kept[place], replayed[place]) + min(kept[place], released)
        // Smaller differences are rounding errors.
        guard sum < best.cost - (best.cost.isFinite ? 1e-9 * max(1, best.cost) : 0) else { continue }
        var decision = Decision(tier: tier, isReleasedForLast: released <= kept[place])
        for other in children.indices where other != last {
          let isReplayed = replayed[other - children.startIndex] < kept[other - children.startIndex]
          if isReplayed { decision.replayed.append(children[other]) } else { decision.kept.append(children[other]) }
        }
        decision.kept.append(children[last])
        best = (sum, decision)
      }
    }
    return best.decision
  }

  /// Makes the decisions for everything below `first`.
  private mutating func settle(_ first: Int, distance: Double, checkpoint: () throws -> Void) rethrows {
    var pending = [(node: first, distance: distance, free: memorySlots)]
    while let (child, above, free) = pending.popLast() {
      try checkpoint()
      guard branchings[child] >= 0 else { continue }
      let node = Int(branchings[child])
      let distance = above + Double(tree.nodes[node].depth - tree.nodes[child].depth)
      let decision = decide(node, distance: distance, free: free)
      decisions[node] = decision
      let tier = decision.tier
      for (index, child) in (decision.replayed + decision.kept).enumerated() {
        let isLast = index == decision.replayed.count + decision.kept.count - 1
        let isFromKept = index >= decision.replayed.count && !(isLast && decision.isReleasedForLast)
        let length = Double(tree.nodes[child].depth - tree.nodes[node].depth)
        if isFromKept {
          pending.append((child, length + (tier == .disk ? read : 0), tier == .disk ? free : free - 1))
        } else {
          pending.append((child, length + distance, free))
        }
      }
    }
  }
}
