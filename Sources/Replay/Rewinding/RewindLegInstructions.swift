/// Computes the instructions of one leg of a rewind one at a time.
///
/// It keeps a stack of roots, the lowest first, each with the states above it that are still to be visited: those
/// from its own position up to that of the next root. The uppermost states of the top root are visited first and may
/// get a root of their own. A root that has been visited is popped, and its slot becomes free. The stack is as high
/// as there are slots.
///
/// - Complexity: O(1) memory besides the stack. An instruction takes O(r) time in memory (see `BinomialRewind`), and
///   up to O(l) if the next save may be on disk (see `TwoLevelRewind`).
struct RewindLegInstructions: IteratorProtocol, Sendable {
  private let memorySlots: Int
  /// The number of slots, counted from the first, that are on disk if the method makes no difference between tiers.
  private let firstOnDisk: Int
  private let method: RewindLegSchedule.Method
  private let leg: RewindLeg
  private var roots: [Root]
  private var memoryUsed = 0
  private var diskUsed = 0
  /// The number of passes started at the origin.
  private var passes = 0
  /// The position of the working state; nil before the first instruction and when the state is of no more use.
  private var position: Int?
  /// The next instructions, last first.
  private var pending: [RewindInstruction] = []

  init(_ leg: RewindLeg, memorySlots: Int, firstOnDisk: Int, method: RewindLegSchedule.Method) {
    self.leg = leg
    self.memorySlots = memorySlots
    if case .memory = method { self.firstOnDisk = firstOnDisk } else { self.firstOnDisk = 0 }
    self.method = method
    roots = [Root(place: .origin, unvisited: leg.positions)]
  }

  mutating func next() -> RewindInstruction? {
    if pending.isEmpty, let root = roots.popLast() {
      var decided: [RewindInstruction] = []
      visitUppermostStates(of: root, &decided)
      pending = decided.reversed()
    }
    return pending.popLast()
  }

  private struct Root: Sendable {
    var place: Place
    var unvisited: Range<Int>
  }

  private enum Place: Hashable, Sendable {
    case origin
    case slot(Int, SlotTier)
  }

  /// Goes to the lowest of the root's uppermost states, and visits it or makes it the root of those above it.
  private mutating func visitUppermostStates(of root: Root, _ decided: inout [RewindInstruction]) {
    let upper = upperStates(of: root)
    let target = root.unvisited.upperBound - upper.states
    let rest = root.unvisited.lowerBound..<target
    go(to: target, from: root, &decided)
    if upper.states == 1 { decided.append(.visit(target)) }
    // The slot is released before anything else is saved, because the new state may need the same slot.
    if rest.isEmpty { release(root.place, &decided) } else { roots.append(Root(place: root.place, unvisited: rest)) }
    if upper.states > 1 {
      let place = save(upper.tier, &decided)
      roots.append(Root(place: place, unvisited: target..<root.unvisited.upperBound))
    } else {
      position = nil
    }
  }

  /// The number of states visited from the next save on, and the tier of that save. A single state is visited without
  /// a save.
  private mutating func upperStates(of root: Root) -> (states: Int, tier: SlotTier) {
    let unvisited = root.unvisited.count
    switch (root.place, method) {
    case (_, _) where unvisited == 1:
      return (1, .memory)
    case (.slot(let slot, .memory), _):
      return (BinomialRewind.upperStates(of: unvisited, slots: firstOnDisk + memorySlots - slot), .memory)
    case (_, .memory(let passes)):
      defer { self.passes += 1 }
      return (passes.states(inPass: self.passes), .memory)
    case (.origin, .twoLevels(let levels)):
      return levels.upperStates(of: unvisited, root: .origin, diskSlots: levels.diskSlots)
    case (.slot, .twoLevels(let levels)):
      return levels.upperStates(of: unvisited, root: .disk, diskSlots: levels.diskSlots - diskUsed)
    }
  }

  private mutating func go(to target: Int, from root: Root, _ decided: inout [RewindInstruction]) {
    let begin: Int
    switch (position, root.place) {
    case (let position?, _):
      begin = position
    case (nil, .origin):
      decided.append(.start(leg.origin.position))
      begin = leg.origin.position
    case (nil, .slot(let slot, let tier)):
      let slot = located(slot, tier)
      decided.append(.load(slot: slot.number, tier: slot.tier))
      begin = root.unvisited.lowerBound
    }
    if begin < target { decided.append(.advance(begin..<target)) }
    position = target
  }

  private mutating func save(_ tier: SlotTier, _ decided: inout [RewindInstruction]) -> Place {
    // Roots are saved and released like a stack, so the slots in use are always the first ones.
    let slot: Int
    switch tier {
    case .memory:
      slot = memoryUsed
      memoryUsed += 1
    case .disk:
      slot = diskUsed
      diskUsed += 1
    }
    let place = located(slot, tier)
    decided.append(.save(slot: place.number, tier: place.tier))
    return .slot(slot, tier)
  }

  /// The place of a slot. The first slots hold the lowest states, which are needed least often; these are on disk.
  private func located(_ slot: Int, _ tier: SlotTier) -> Slot {
    guard tier == .memory else { return Slot(tier: tier, number: slot) }
    return slot < firstOnDisk
      ? Slot(tier: .disk, number: slot) : Slot(tier: .memory, number: slot - firstOnDisk)
  }

  private mutating func release(_ place: Place, _ decided: inout [RewindInstruction]) {
    guard case .slot(let slot, let tier) = place else { return }
    switch tier {
    case .memory: memoryUsed -= 1
    case .disk: diskUsed -= 1
    }
    let released = located(slot, tier)
    decided.append(.release(slot: released.number, tier: released.tier))
  }
}
