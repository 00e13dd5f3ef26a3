/// An iterate of one of a plan's orders.
public struct Iterate: Hashable, Sendable {
  /// The index of the order in the plan's orders.
  public let order: Int
  /// The number of the iterate in its order.
  public let n: Int

  public init(order: Int, n: Int) {
    self.order = order
    self.n = n
  }
}

/// A state on the path to an iterate: the one after the first `position` batches of the iterate's sequence.
public struct PathPoint: Hashable, Sendable {
  public let iterate: Iterate
  public let position: Int

  public init(_ iterate: Iterate, position: Int) {
    self.iterate = iterate
    self.position = position
  }
}

/// The batch sequences of all wanted iterates as a radix tree. An edge is a stretch of batches that all iterates
/// below it share; a node is a state that is wanted or stored, or at which sequences part. Walking every edge once
/// yields every iterate, and no plan that applies the batches one by one needs fewer updates.
///
/// A stored state costs no updates: what lies below it hangs from it, and the edge that leads to it is removed.
///
/// The tree takes some 200 bytes per wanted iterate, whatever the length of the sequences.
struct PrefixTree {
  struct Node {
    var parent: Int
    /// The number of batches from the initial state to this node.
    let depth: Int
    /// The depth at which the edge to this node begins: the parent's depth, or the node's own for a stored state.
    var edgeStart = 0
    /// The wanted iterates that are this state, as a range of `points`.
    var wanted: Range<Int>
    /// The index in `points` of an iterate or stored state whose sequence passes through this node.
    let example: Int
    /// The number of the stored state that this node is; nil if it is not stored.
    var stored: Int?
  }

  static let root = 0

  let orders: [CompositionOrder]
  /// The wanted iterates and the stored states, in lexicographic order of their sequences.
  let points: [PathPoint]
  /// The nodes; node 0 is the root. A parent may come after its child.
  private(set) var nodes: [Node]
  /// For each node, whether it is wanted or leads to a wanted one.
  private(set) var isNeeded: [Bool]

  /// - Parameters:
  ///   - wanted: The wanted iterates, in any order and without repetitions. Each has n ≥ 1 and is defined by its
  ///     order.
  ///   - stored: States that need not be computed, each with the number by which nodes refer to it.
  ///   - checkpoint: Called at every step, so that long work can be cancelled.
  init(
    orders: [CompositionOrder], wanted: [Iterate], stored: [(number: Int, point: PathPoint)] = [],
    checkpoint: () throws -> Void
  ) rethrows {
    self.orders = orders
    let all = wanted.map { PathPoint($0, position: orders[$0.order].sequence($0.n).count) } + stored.map(\.point)
    let sequences = try all.map {
      try checkpoint()
      return orders[$0.iterate.order].sequence($0.iterate.n).prefix($0.position)
    }
    // Among equal sequences the wanted iterates come first, so that a node's wanted points are a range.
    let sorted = try all.indices.sorted {
      try checkpoint()
      return sequences[$0] < sequences[$1] || (sequences[$0] == sequences[$1] && $0 < $1)
    }
    points = sorted.map { all[$0] }
    nodes = [Node(parent: Self.root, depth: 0, wanted: 0..<0, example: 0)]
    nodes.reserveCapacity(2 * sorted.count + 1)

    // The path to the node added last. Each new sequence branches off where it parts from its predecessor.
    var path = [Self.root]
    for (index, item) in sorted.enumerated() {
      try checkpoint()
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
      if sequence.count > shared {
        nodes.append(Node(parent: top, depth: sequence.count, wanted: index..<index, example: index))
        top = nodes.count - 1
        path.append(top)
      }
      if item >= wanted.count {
        nodes[top].stored = stored[item - wanted.count].number
      } else {
        let first = nodes[top].wanted.isEmpty ? index : nodes[top].wanted.lowerBound
        nodes[top].wanted = first..<index + 1
      }
    }
    for node in nodes.indices.dropFirst() { nodes[node].edgeStart = nodes[nodes[node].parent].depth }
    for node in nodes.indices.dropFirst() where nodes[node].stored != nil {
      nodes[node].parent = Self.root
      nodes[node].edgeStart = nodes[node].depth
    }
    isNeeded = nodes.map { !$0.wanted.isEmpty }
    for node in try nodesDeepestFirst(checkpoint) where isNeeded[node] { isNeeded[nodes[node].parent] = true }
  }

  /// All nodes except the root, each before its parent.
  func nodesDeepestFirst(_ checkpoint: () throws -> Void) rethrows -> [Int] {
    let depths = nodes.map(\.depth)
    return try (1..<nodes.count).sorted {
      try checkpoint()
      return depths[$0] > depths[$1]
    }
  }

  /// The number of updates on the edge that leads to `node`.
  func edgeLength(_ node: Int) -> Int { nodes[node].depth - nodes[node].edgeStart }

  /// The batches on the edge that leads to `node`.
  func edge(_ node: Int) -> BatchSequence.Runs {
    sequence(through: node).runs(in: nodes[node].edgeStart..<nodes[node].depth)
  }

  func wanted(_ node: Int) -> [Iterate] { points[nodes[node].wanted].map(\.iterate) }

  /// An iterate whose sequence passes through `node`.
  func example(_ node: Int) -> Iterate { points[nodes[node].example].iterate }

  private func sequence(through node: Int) -> BatchSequence {
    orders[example(node).order].sequence(example(node).n)
  }

  /// The least number of updates that yields every wanted iterate: the total length of the needed edges.
  var totalLength: Int {
    nodes.indices.dropFirst().reduce(0) { $0.addingClamped(isNeeded[$1] ? edgeLength($1) : 0) }
  }

  /// Whether the state of `node` lies on the path `target` or is its end.
  func isOnPath(_ node: Int, to target: BatchSequence) -> Bool {
    let depth = nodes[node].depth
    return depth <= target.count && sequence(through: node).commonPrefixCount(with: target) >= depth
  }
}

/// The needed children of every node, in ascending order of the cost of their subtrees.
struct SubtreeOrder {
  /// The cost of a node's edge and of everything below it, in updates.
  let costs: [Double]
  private let starts: [Int]
  private let sorted: [Int]

  /// - Parameter observationCost: The cost of one observation, in updates.
  init(of tree: PrefixTree, observationCost: Double, checkpoint: () throws -> Void) rethrows {
    let count = tree.nodes.count
    var costs = [Double](repeating: 0, count: count)
    var childCounts = [Int](repeating: 0, count: count + 1)
    // Nodes come deepest first, so the cost of a node is complete when it is added to its parent's.
    for node in try tree.nodesDeepestFirst(checkpoint) where tree.isNeeded[node] {
      costs[node] += Double(tree.edgeLength(node)) + (tree.nodes[node].wanted.isEmpty ? 0 : observationCost)
      costs[tree.nodes[node].parent] += costs[node]
      childCounts[tree.nodes[node].parent] += 1
    }
    var starts = [0]
    starts.reserveCapacity(count + 1)
    for node in 0..<count { starts.append(starts[node] + childCounts[node]) }
    var sorted = [Int](repeating: 0, count: max(0, count - 1))
    var filled = starts
    let needed = (1..<count).filter { tree.isNeeded[$0] }
    let byCost = try needed.sorted {
      try checkpoint()
      return (costs[$0], $0) < (costs[$1], $1)
    }
    for node in byCost {
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
