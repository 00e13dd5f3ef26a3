/// Where branching states are kept, so that a depth-first walk of a prefix tree with M memory slots takes least time:
/// in memory, on disk, or nowhere; what is not kept is replayed from the nearest state that is.
///
/// A lane that stands at a branching state v goes down to one child after the other. If s is the kept state above v from
/// which v is made again soonest, let x be what that takes: the updates from s to v, and loading s. Nothing else of what
/// lies above matters below v, so the least extra time F for all below v depends on x and on the number m of memory slots
/// that are free. A child c, n_c updates below v, is visited from s or from v:
///
///     F(v, x, m) = min over tiers and one child l of   f(l) + w + Σ_{c ≠ l} min(x + F(c, x + n_c, m), r + F(c, r + n_c, m')),
///
/// where v in memory has w = r = 0, m' = m − 1, and v on disk w = write, r = read, m' = m. The child l costs no way back:
/// it is the last, for which v's slot is given up (f(l) = r + F(l, x + n_l, m)) or kept (r + F(l, r + n_l, m')), or, where v
/// is kept nowhere, the one the lane goes on to at once (F(l, x + n_l, m)). Tests compare with a search over all ways to use
/// slots on small trees.
///
/// As a function of x, F is a minimum of lines: so many ways back to s, and a rest that does not depend on where s is
/// (`CostCurve`). That takes the place of a value for every s above: some √(2 write) lines are left, and as many as read has
/// updates where s may be in memory. With as many free slots as v's subtree can use, F is 0: a path with teeth, the most
/// common tree, can use 1. So only those m are looked at that matter to the tree's root.
struct SlotPlacement {
  /// What to do at a branching state.
  struct Decision {
    /// The children visited with the state kept nowhere, first to last. The lane goes on to the first; for each other,
    /// and for keeping the state afterwards, it is made again.
    var replayed: [Int] = []
    /// Where it is kept for the others; nil: there are none.
    var tier: SlotTier?
    /// The children visited from the kept state, first to last.
    var kept: [Int] = []
    /// Whether its slot is given up before the last of `kept` is walked.
    var isReleasedForLast = true
  }

  /// By node; empty for those that don't branch.
  private(set) var decisions: [Decision]

  private let tree: PrefixTree
  private let subtrees: SubtreeOrder
  private let memorySlots: Int
  /// In updates.
  private let write: Double
  private let read: Double
  /// The first branching node at or below a node; −1 for none.
  private var branchings: [Int32]
  /// How many memory slots are of use at and below a node: some log₂ of the leaves.
  private var usefulSlots: [UInt8]
  /// By node: for which m its F matters and is not 0, a bit each.
  private var rows: [UInt64]
  /// F's lines: of a branching node i and the k-th of its m, those of curve `curves[i] + k`, which begin at `starts` of that.
  private var lines: [CostCurve.Line] = []
  private var starts: [Int] = [0]
  private var curves: [Int32]

  /// There is room for about so many lines, whatever the size of the tree: 16 MiB. Where there are more, those that matter least
  /// are left out of all curves alike, so that plans of very large trees may take a little more than the least.
  private static let mostLines = 1 << 20
  private static let fewestLines = 8

  /// - Parameter checkpoint: called all along, so that what takes long can be stopped.
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
      // The child that can use most comes last, when the node's own slot is free again.
      let useful = children.map { usefulSlots[$0] }.sorted()
      usefulSlots[node] = max(useful[useful.count - 1], useful[useful.count - 2] + 1)
    }
    let start = slotCosts.start / slotCosts.step
    try computeCurves(deepestFirst, start: start, checkpoint: checkpoint)
    for child in subtrees.children(PrefixTree.root) {
      // What was stored before the replay is restored once.
      let isStored = tree.nodes[child].stored != nil
      try settle(child, distance: isStored ? .infinity : start + Double(tree.nodes[child].depth), checkpoint: checkpoint)
    }
  }

  private mutating func computeCurves(
    _ deepestFirst: [Int], start: Double, checkpoint: () throws -> Void
  ) rethrows {
    /// The nearest branching node above each; the root for none.
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
        // The nearest place from which the state can be made again: with all slots free it is not in memory.
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

  /// Updates from a node to the first that branches at or below its child.
  private func length(from node: Int, to child: Int) -> Double {
    let branching = Int(branchings[child])
    return branching < 0 ? 0 : Double(tree.nodes[branching].depth - tree.nodes[node].depth)
  }

  /// F of a branching node, from those of the nodes below.
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
      // The sums of all before a child, and of all after it.
      var before = [CostCurve(write)]
      for visit in visits { before.append(before[before.count - 1] + visit) }
      var after = CostCurve(0)
      var isLeafDone = false
      for place in visits.indices.reversed() {
        // One leaf is as good as another.
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

  /// F of all below `node`, from a source so far above it.
  private func cost(below node: Int, from parent: Int, distance: Double, free: Int) -> Double {
    guard free < usefulSlots[node] else { return 0 }
    return storedCurve(below: node, free: free).value(at: distance + length(from: parent, to: node))
  }

  /// What to do at a branching node.
  private func decide(_ node: Int, distance: Double, free: Int) -> Decision {
    let children = subtrees.children(node)
    guard free < usefulSlots[node] else {
      // There is a slot for whatever needs one; what needs all of them comes last, otherwise what is dearest.
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
      // The dearest comes last where it makes no difference, so that lanes have much to do in the end.
      for last in children.indices.reversed() {
        let place = last - children.startIndex
        let released = read + unkept[place]
        let sum = total - min(kept[place], replayed[place]) + min(kept[place], released)
        // So little is what rounding leaves.
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

  /// Takes the decisions of all below `first`.
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
