/// The least time for visiting m states, last first, with S memory slots and D disk slots.
///
/// A root is the origin or a state on disk; going back to it costs ρ: reading the origin and the updates from there to the
/// lowest state, or a read. From a root one advances by some j, saves there, visits the upper m − j states, goes back to the root
/// and visits the lower j. The upper states hang on a memory slot, and are visited by the binomial schedule, or on a
/// disk slot, which becomes their root. With d disk slots left the least time V obeys
///
///     V(m, d) = min over 0 ≤ j < m of  [j > 0] (j · step + ρ + V(j, d)) + A(m − j, d)
///     A(n, d) = min(T(n, S) · step,  write + W(n, d − 1)),
///
/// where W is the V of a root on disk, and T counts the updates of `BinomialRewind`. j = 0 keeps the root itself in
/// memory. Disk slots so always lie below the memory slots in use; tests compare with a search over all ways to use
/// the slots and find none faster.
///
/// Many states are planned in cells of equally many, and then saves on disk are at the lower ends of cells only; the
/// time is then near the least, not the least.
///
/// Source: J. Herrmann and G. Pallez, "H-Revolve", ACM Transactions on Mathematical Software 46 (2020), whose levels
/// these are; an origin that costs as much as it may, and one before the lowest state, are added.
struct TwoLevelRewind: Sendable {
  enum Root {
    case origin
    case disk
  }

  /// More cells are not planned.
  static let cellLimit = 8192

  /// c² D is kept below it for c cells and D disk slots, by larger cells or, where there is no memory slot to visit a
  /// cell with, by fewer disk slots. This much takes about a second.
  private static let workLimit = 4_000_000_000

  /// How many disk slots are of use.
  let diskSlots: Int
  private let costs: SlotCosts
  /// ρ of the origin, in seconds.
  private let goBackToOrigin: Double
  /// States a cell.
  private let cell: Int
  /// T(n, S) · step for n cells.
  private let inMemory: [Double]
  /// V for a root on disk, by the disk slots left, then by cells.
  private let fromDisk: [[Double]]
  /// V for the origin, by cells.
  private let fromOrigin: [Double]

  /// - Complexity: O(c² D) time and O(c D) room for c cells. Each state is a cell of its own where l ≤ `cellLimit` and
  ///   l² D ≤ `workLimit`, and where l ≤ 1024.
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
      // One more slot changes nothing, so that any number more does not either.
      if times == fromDisk.last { break }
      for n in 1...cells { upper[n] = min(inMemory[n], costs.write + times[n]) }
      fromDisk.append(times)
    }
    self.inMemory = inMemory
    self.fromDisk = fromDisk
    self.diskSlots = fromDisk.count
    fromOrigin = Self.times(upper: upper, step: Double(cell) * costs.step, goBack: goBackToOrigin)
  }

  /// V(·, d) from A(·, d), given as `upper`.
  private static func times(upper: [Double], step: Double, goBack: Double) -> [Double] {
    var times = [Double](repeating: .infinity, count: upper.count)
    times[0] = 0
    for lower in 0..<upper.count - 1 {
      let below = lower == 0 ? 0 : Double(lower) * step + goBack + times[lower]
      for n in 1..<upper.count - lower { times[lower + n] = min(times[lower + n], below + upper[n]) }
    }
    return times
  }

  /// How many of the upper states to visit first, and where their lowest is saved.
  /// - Complexity: O(c)
  func upperStates(of states: Int, root: Root, diskSlots: Int) -> (states: Int, tier: SlotTier) {
    let cells = (states + cell - 1) / cell
    let times = root == .origin ? fromOrigin : fromDisk[diskSlots]
    let goBack = root == .origin ? goBackToOrigin : costs.read
    var best = (cells: cells, tier: SlotTier.memory, seconds: Double.infinity)
    // From many lower cells to few: of equally good ways the one with the fewest states above its save.
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
