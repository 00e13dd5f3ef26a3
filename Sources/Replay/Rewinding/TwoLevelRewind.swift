/// The least time for visiting m states, last first, with S memory slots and D disk slots.
///
/// A root is the origin or a state on disk. Returning to it costs ρ: reading the origin and the updates from there to
/// the lowest state, or reading from disk. From a root one advances by some j, saves there, visits the upper m − j
/// states, returns to the root and visits the lower j states. The upper states are either saved in a memory slot and
/// visited by the binomial schedule, or saved in a disk slot, which becomes their root. With d disk slots left the
/// least time V obeys
///
///     V(m, d) = min over 0 ≤ j < m of  [j > 0] (j · step + ρ + V(j, d)) + A(m − j, d)
///     A(n, d) = min(T(n, S) · step,  write + W(n, d − 1)),
///
/// where W is the V of a root on disk, and T counts the updates of `BinomialRewind`. j = 0 keeps the root itself in
/// memory. So disk slots always lie below the memory slots in use; tests compare with a search over all ways to use
/// the slots and find none that is faster.
///
/// If there are many states, they are planned in cells of equal size, and states are saved on disk only at the lower
/// ends of cells. The time is then near the least, but not the least.
///
/// Source: J. Herrmann and G. Pallez, "H-Revolve", ACM Transactions on Mathematical Software 46 (2020), which has
/// these levels. The cost of reading the origin, and an origin below the lowest state, are additions.
struct TwoLevelRewind: Sendable {
  enum Root {
    case origin
    case disk
  }

  /// The largest number of cells that are planned.
  static let cellLimit = 8192

  /// The bound of c² D for c cells and D disk slots. It is kept by larger cells or, if there is no memory slot to
  /// visit a cell with, by fewer disk slots. This much work takes about a second.
  private static let workLimit = 4_000_000_000

  /// The number of disk slots that are of use.
  let diskSlots: Int
  private let costs: SlotCosts
  /// The ρ of the origin, in seconds.
  private let goBackToOrigin: Double
  /// The number of states per cell.
  private let cell: Int
  /// T(n, S) · step for n cells.
  private let inMemory: [Double]
  /// V for a root on disk, indexed by the number of disk slots left and then by cells.
  private let fromDisk: [[Double]]
  /// V for the origin, indexed by cells.
  private let fromOrigin: [Double]

  /// - Complexity: O(c² D) time and O(c D) memory for c cells. Each state is a cell of its own if l ≤ `cellLimit` and
  ///   l² D ≤ `workLimit`, and if l ≤ 1024.
  init(_ leg: RewindLeg, memorySlots: Int, diskSlots: Int, costs: SlotCosts) {
    let states = leg.positions.count
    self.costs = costs
    goBackToOrigin = leg.origin.cost + Double(leg.approach) * costs.step
    let mostCells = min(Self.cellLimit, max(1024, Int(Double(Self.workLimit / diskSlots).squareRoot())))
    let cell = memorySlots == 0 ? 1 : (states + mostCells - 1) / mostCells
    self.cell = cell
    let cells = (states + cell - 1) / cell
    let inMemory = (0...cells).map { n in
      memorySlots == 0 && n > 1
        ? .infinity : Double(BinomialRewind.updates(states: n * cell, slots: memorySlots)) * costs.step
    }
    var upper = inMemory
    var fromDisk: [[Double]] = []
    while fromDisk.count < min(diskSlots, Self.workLimit / (cells * cells)) {
      let times = Self.times(upper: upper, step: Double(cell) * costs.step, goBack: costs.read)
      // If one more slot changes nothing, any further ones do not either.
      if times == fromDisk.last { break }
      for n in 1...cells { upper[n] = min(inMemory[n], costs.write + times[n]) }
      fromDisk.append(times)
    }
    self.inMemory = inMemory
    self.fromDisk = fromDisk
    self.diskSlots = fromDisk.count
    fromOrigin = Self.times(upper: upper, step: Double(cell) * costs.step, goBack: goBackToOrigin)
  }

  /// V(·, d) computed from A(·, d), which is `upper`.
  private static func times(upper: [Double], step: Double, goBack: Double) -> [Double] {
    var times = [Double](repeating: .infinity, count: upper.count)
    times[0] = 0
    for lower in 0..<upper.count - 1 {
      let below = lower == 0 ? 0 : Double(lower) * step + goBack + times[lower]
      for n in 1..<upper.count - lower { times[lower + n] = min(times[lower + n], below + upper[n]) }
    }
    return times
  }

  /// The number of upper states to visit first, and the tier where the lowest of them is saved.
  /// - Complexity: O(c)
  func upperStates(of states: Int, root: Root, diskSlots: Int) -> (states: Int, tier: SlotTier) {
    let cells = (states + cell - 1) / cell
    let times = root == .origin ? fromOrigin : fromDisk[diskSlots]
    let goBack = root == .origin ? goBackToOrigin : costs.read
    var best = (cells: cells, tier: SlotTier.memory, seconds: Double.infinity)
    // The number of lower cells decreases, so that among equally good choices the one with the fewest states above
    // its save is taken.
    for n in 1...cells {
      let lower = cells - n
      let below = lower == 0 ? 0 : Double(lower * cell) * costs.step + goBack + times[lower]
      if below + inMemory[n] < best.seconds { best = (n, .memory, below + inMemory[n]) }
      guard diskSlots > 0 else { continue }
      let onDisk = below + costs.write + fromDisk[diskSlots - 1][n]
      if onDisk < best.seconds { best = (n, .disk, onDisk) }
    }
    return (best.cells == cells ? states : best.cells * cell, best.tier)
  }
}
