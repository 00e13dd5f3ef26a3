/// An iterate of one of a plan's orders.
public struct Iterate: Hashable, Sendable {
  /// Index into the plan's orders.
  public let order: Int
  /// Which iterate of that order.
  public let n: Int

  public init(order: Int, n: Int) {
    self.order = order
    self.n = n
  }
}

/// The batch sequences of all wanted iterates as a radix tree: an edge is a stretch of batches that all iterates
/// below it share, a node a state that is wanted or where sequences part. Walking every edge once yields every
/// iterate, and no plan that applies the batches one by one can do with fewer updates.
///
/// Takes some 200 bytes a wanted iterate, whatever the length of the sequences.
struct PrefixTree {
  struct Node {
    var parent: Int
    /// Batches from the root to here.
    let depth: Int
    /// The iterates this state is: a range of `iterates`.
    var wanted: Range<Int>
    /// An iterate (index into `iterates`) whose sequence passes through here.
    let example: Int
  }

  static let root = 0

  let orders: [CompositionOrder]
  /// The wanted iterates, in lexicographic order of their sequences.
  let iterates: [Iterate]
  /// Node 0 is the root. A parent may come after its child.
  private(set) var nodes: [Node]

  /// - Parameter iterates: any order, no repeats, each n ≥ 1 and defined by its order.
  init(orders: [CompositionOrder], iterates wanted: [Iterate]) {
    self.orders = orders
    let sequences = wanted.map { orders[$0.order].sequence($0.n) }
    let sorted = wanted.indices.sorted { sequences[$0] < sequences[$1] }
    iterates = sorted.map { wanted[$0] }
    nodes = [Node(parent: Self.root, depth: 0, wanted: 0..<0, example: 0)]
    nodes.reserveCapacity(2 * sorted.count + 1)

    // The path to the node added last; each new sequence leaves it where it parts from its predecessor.
    var path = [Self.root]
    for (index, item) in sorted.enumerated() {
      let sequence = sequences[item]
      let shared = index == 0 ? 0 : sequence.commonPrefixCount(with: sequences[sorted[index - 1]])
      var below: Int?
      while let top = path.last, nodes[top].depth > shared { below = path.removeLast() }
      var top = path[path.count - 1]
      if nodes[top].depth < shared, let below {
        nodes.append(Node(parent: top, depth: shared, wanted: index..<index, example: index))
        top = nodes.count - 1
        nodes[below].parent = top
        path.append(top)
      }
      if sequence.count == shared {
        let first = nodes[top].wanted.isEmpty ? index : nodes[top].wanted.lowerBound
        nodes[top].wanted = first..<index + 1
      } else {
        nodes.append(Node(parent: top, depth: sequence.count, wanted: index..<index + 1, example: index))
        path.append(nodes.count - 1)
      }
    }
  }

  /// Updates on the edge that leads to `node`.
  func edgeLength(_ node: Int) -> Int { nodes[node].depth - nodes[nodes[node].parent].depth }

  /// The batches on the edge that leads to `node`.
  func edge(_ node: Int) -> BatchSequence.Runs {
    let end = nodes[node]
    let example = iterates[end.example]
    return orders[example.order].sequence(example.n).runs(in: nodes[end.parent].depth..<end.depth)
  }

  func wanted(_ node: Int) -> ArraySlice<Iterate> { iterates[nodes[node].wanted] }

  /// The least number of updates that yields every wanted iterate, all edges together.
  var totalLength: Int { nodes.indices.dropFirst().reduce(0) { $0 + edgeLength($1) } }

  /// Whether `node` lies on the path to the iterate `target`, or is it.
  func isOnPath(_ node: Int, to target: BatchSequence) -> Bool {
    let depth = nodes[node].depth
    let example = iterates[nodes[node].example]
    return depth <= target.count
      && orders[example.order].sequence(example.n).commonPrefixCount(with: target) >= depth
  }
}

/// The children of every node, cheapest subtree first.
struct SubtreeOrder {
  /// Cost of a node's edge and all below it, in updates.
  let costs: [Double]
  private let starts: [Int]
  private let sorted: [Int]

  /// - Parameter observationCost: what one observation costs, in updates.
  init(of tree: PrefixTree, observationCost: Double) {
    let count = tree.nodes.count
    // Deepest first, so that every node is added to its parent after its own children were added to it.
    let deepestFirst = (1..<count).sorted { tree.nodes[$0].depth > tree.nodes[$1].depth }
    var costs = [Double](repeating: 0, count: count)
    var childCounts = [Int](repeating: 0, count: count + 1)
    for node in deepestFirst {
      costs[node] += Double(tree.edgeLength(node)) + (tree.nodes[node].wanted.isEmpty ? 0 : observationCost)
      costs[tree.nodes[node].parent] += costs[node]
      childCounts[tree.nodes[node].parent] += 1
    }
    var starts = [0]
    starts.reserveCapacity(count + 1)
    for node in 0..<count { starts.append(starts[node] + childCounts[node]) }
    var sorted = [Int](repeating: 0, count: max(0, count - 1))
    var filled = starts
    for node in (1..<count).sorted(by: { (costs[$0], $0) < (costs[$1], $1) }) {
      let parent = tree.nodes[node].parent
      sorted[filled[parent]] = node
      filled[parent] += 1
    }
    self.costs = costs
    self.starts = starts
    self.sorted = sorted
  }

  func children(_ node: Int) -> ArraySlice<Int> { sorted[starts[node]..<starts[node + 1]] }
}
