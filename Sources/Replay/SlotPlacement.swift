/// Where branching states are kept, so that a depth-first walk of a prefix tree with M memory slots takes least time:
/// in memory, on disk, or nowhere; what is not kept is replayed from the nearest state that is.
///
/// A lane that stands at a branching state v, d_v updates from the start, goes down to one child after the other. If s
/// is the kept state above v from which v is made again soonest, doing so takes d_v − e, where e is s's depth less what
/// loading s takes. Nothing else of what lies above matters below v, so the least extra time F for all below v depends
/// on e and on the number m of memory slots that are free. Each child c of v is visited from s or from v:
///
///     F(v, e, m) = min over tiers and one child l of   f(l) + w + Σ_{c ≠ l} min(d_v − e + F(c, e, m), r + F(c, e', m')),
///
/// where v in memory has w = r = 0, e' = d_v, m' = m − 1, and v on disk w = write, r = read, e' = d_v − read, m' = m.
/// The child l costs no way back: it is the last, for which v's slot is given up (f(l) = r + F(l, e, m)) or kept
/// (r + F(l, e', m')), or, where v is kept nowhere, the one the lane goes on to at once (F(l, e, m)). Tests compare
/// with a search over all ways to use slots on small trees.
///
/// Where s is farther than write + 2 read, keeping v on disk is better than replaying it, so that e is not looked at:
/// the table has O(nodes · (write + read) / step · M) entries.
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
  /// The e of every node that matter, ascending, the first for all that are too far: those of node i from `starts[i]`.
  private var sources: [Double] = []
  private var starts: [Int] = [0]
  /// F, by source and number of free memory slots.
  private var costs: [Double]

  /// Less than the e of any state, and as good as none to replay from.
  private static let nowhere = -1e15

  init(of tree: PrefixTree, subtrees: SubtreeOrder, memorySlots: Int, costs slotCosts: SlotCosts) {
    self.tree = tree
    self.subtrees = subtrees
    self.memorySlots = memorySlots
    write = slotCosts.write / slotCosts.step
    read = slotCosts.read / slotCosts.step
    decisions = Array(repeating: Decision(), count: tree.nodes.count)
    costs = []
    let start = -slotCosts.start / slotCosts.step
    for node in tree.nodes.indices {
      let depth = Double(tree.nodes[node].depth)
      var reachable: Set<Double> = [Self.nowhere]
      var above = node == PrefixTree.root ? nil : tree.nodes[node].parent
      // What was stored before the replay is restored once.
      var isBelowStored = tree.nodes[node].stored != nil
      while let ancestor = above, !isBelowStored {
        let isRoot = ancestor == PrefixTree.root
        let source = isRoot ? start : Double(tree.nodes[ancestor].depth)
        guard depth - source <= write + 2 * read else { break }
        if isRoot {
          reachable.insert(source)
        } else if subtrees.children(ancestor).count > 1 {
          reachable.formUnion([source, source - read])
        }
        isBelowStored = tree.nodes[ancestor].stored != nil
        above = isRoot ? nil : tree.nodes[ancestor].parent
      }
      sources += reachable.filter { $0 == Self.nowhere || depth - $0 <= write + 2 * read }.sorted()
      starts.append(sources.count)
    }
    costs = Array(repeating: 0, count: sources.count * (memorySlots + 1))
    for node in tree.nodesDeepestFirst where !subtrees.children(node).isEmpty {
      for source in starts[node]..<starts[node + 1] {
        for free in 0...memorySlots {
          costs[source * (memorySlots + 1) + free] = decide(node, source: sources[source], free: free).cost
        }
      }
    }
    for child in subtrees.children(PrefixTree.root) {
      settle(child, source: tree.nodes[child].stored == nil ? start : Self.nowhere)
    }
  }

  /// F.
  private func cost(_ node: Int, source: Double, free: Int) -> Double {
    var low = starts[node]
    var high = starts[node + 1] - 1
    while low < high {
      let middle = (low + high + 1) / 2
      if sources[middle] <= source { low = middle } else { high = middle - 1 }
    }
    return costs[low * (memorySlots + 1) + free]
  }

  private func decide(_ node: Int, source: Double, free: Int) -> (cost: Double, decision: Decision) {
    let children = subtrees.children(node)
    let depth = Double(tree.nodes[node].depth)
    let unkept = children.map { cost($0, source: source, free: free) }
    let nowhere = unkept.reduce(Double(children.count - 1) * (depth - source), +)
    guard children.count > 1 else { return (nowhere, Decision()) }
    var best = (cost: nowhere, decision: Decision(replayed: Array(children)))
    for tier in [SlotTier.memory, .disk] where tier == .disk || free > 0 {
      let read = tier == .disk ? read : 0
      let left = tier == .disk ? free : free - 1
      let kept = children.map { read + cost($0, source: depth - read, free: left) }
      let replayed = unkept.map { depth - source + $0 }
      let total = zip(kept, replayed).reduce(tier == .disk ? write : 0) { $0 + min($1.0, $1.1) }
      // The dearest comes last where it makes no difference, so that lanes have much to do in the end.
      for last in children.indices.reversed() {
        let place = last - children.startIndex
        let released = read + unkept[place]
        let sum = total - min(kept[place], replayed[place]) + min(kept[place], released)
        // So little is what rounding leaves.
        guard sum < best.cost - 1e-9 * max(1, abs(best.cost)) else { continue }
        var decision = Decision(tier: tier, isReleasedForLast: released <= kept[place])
        for other in children.indices where other != last {
          let isReplayed = replayed[other - children.startIndex] < kept[other - children.startIndex]
          if isReplayed { decision.replayed.append(children[other]) } else { decision.kept.append(children[other]) }
        }
        guard !decision.kept.isEmpty else { continue }
        decision.kept.append(children[last])
        best = (sum, decision)
      }
    }
    return best
  }

  /// Takes the decisions of all below `first`.
  private mutating func settle(_ first: Int, source: Double) {
    var pending = [(node: first, source: source, free: memorySlots)]
    while let (node, source, free) = pending.popLast() {
      let children = subtrees.children(node)
      guard children.count > 1 else {
        pending += children.map { ($0, source, free) }
        continue
      }
      let decision = decide(node, source: source, free: free).decision
      decisions[node] = decision
      pending += decision.replayed.map { ($0, source, free) }
      guard let tier = decision.tier else { continue }
      let depth = Double(tree.nodes[node].depth)
      let within = tier == .disk ? (depth - read, free) : (depth, free - 1)
      for (index, child) in decision.kept.enumerated() {
        let isReleased = decision.isReleasedForLast && index == decision.kept.count - 1
        pending.append(isReleased ? (child, source, free) : (child, within.0, within.1))
      }
    }
  }

}
