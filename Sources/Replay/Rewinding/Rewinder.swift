import Tensors

/// Visits the states of one path in reverse by executing a schedule.
///
///     var rewinder = try Rewinder(map, along: order.sequence(n), from: initialState, schedule: schedule)
///     while let position = try rewinder.next() {
///       print(position, rewinder.state.digest)
///     }
///
/// All memory, for the working state and the schedule's memory slots, is allocated at the beginning. The visited
/// states have the same bits as in a replay that runs through the sequence once, unless slots round: then a state is
/// computed from the last rounded one on its way.
public struct Rewinder<Map: UpdateMap>: ~Copyable {
  /// Overwrites a state with the given one at a position of the path.
  public typealias ReadGiven = (_ position: Int, _ state: inout TrainingState) throws -> Void

  /// The working state. After `next()` has returned a position, it is the state at that position.
  public private(set) var state: TrainingState
  /// The number of updates applied so far, in the end `schedule.updates`.
  public private(set) var updates = 0
  /// The position visited last.
  private var visited: Int?
  private let map: Map
  private var executor: BatchRunExecutor<Map>
  private let sequence: BatchSequence
  private let initialState: StoredState
  private let readGiven: ReadGiven
  private let memory: any SlotStorage
  private let storage: (any SlotStorage)?
  private var instructions: RewindSchedule.Instructions

  /// - Parameters:
  ///   - initialState: State 0, as long as the map's states.
  ///   - storage: The storage for states on disk; required if the schedule has disk slots.
  ///   - memory: The storage for states in memory; nil for `MemorySlots`.
  ///   - progress: Counts every update.
  ///   - readGiven: Reads a given state of the schedule; required if a leg of the schedule starts from one.
  /// - Throws: `RewindError.sequenceTooShort`, `RewindError.storageMissing`, and errors in making the map's
  ///   workspace and states.
  public init(
    _ map: Map, along sequence: BatchSequence, from initialState: StoredState, schedule: RewindSchedule,
    storage: (any SlotStorage)? = nil, memory: (any SlotStorage)? = nil, progress: ReplayProgress? = nil,
    readGiven: @escaping ReadGiven = { position, _ in throw RewindError.noGivenState(position) }
  ) throws {
    guard schedule.positions.upperBound - 1 <= sequence.count else {
      throw RewindError.sequenceTooShort(updates: sequence.count, needed: schedule.positions.upperBound - 1)
    }
    guard schedule.diskSlots == 0 || storage != nil else { throw RewindError.storageMissing }
    // Everything that can throw comes first, since a noncopyable value must be initialized completely or not at all.
    let executor = try BatchRunExecutor(for: map, progress: progress)
    let values = try map.makeState()
    self.memory = try memory ?? MemorySlots(count: schedule.memorySlots, for: map)
    self.map = map
    self.executor = executor
    self.sequence = sequence
    self.initialState = initialState
    self.readGiven = readGiven
    self.storage = storage
    state = TrainingState(values: values)
    instructions = schedule.makeIterator()
  }

  /// Goes to the next state to visit, the one before in the sequence, and returns its position; nil after the last.
  /// - Throws: Errors of the storage and of reading given states, and `CancellationError` if the surrounding task was
  ///   cancelled. The rewinder must not be used any more after that.
  public mutating func next() throws -> Int? {
    try Task.checkCancellation()
    while let instruction = instructions.next() {
      switch instruction {
      case .start(0): try initialState.copy(to: &state)
      case .start(let position): try readGiven(position, &state)
      case .load(let slot, let tier): try slots(tier)?.load(slot: slot, into: &state)
      case .save(let slot, let tier): try slots(tier)?.save(state, slot: slot)
      case .release(let slot, let tier): try slots(tier)?.release(slot: slot)
      case .advance(let positions): try advance(over: positions)
      case .visit(let position):
        visited = position
        return position
      }
    }
    return nil
  }

  /// Visits all remaining states.
  public mutating func forEach(_ visit: (_ position: Int, _ state: borrowing TrainingState) throws -> Void) throws {
    while let position = try next() { try visit(position, state) }
  }

  /// Overwrites `other`, as long as the map's states, with the state one update after the one just visited.
  ///
  /// After the first visit of a schedule for the states l − 1 … 0 of a path of l updates, this gives the iterate
  /// itself, for one more update, which `updates` does not count.
  /// - Precondition: `next()` has returned a position, and the sequence has a batch there.
  /// - Throws: `CancellationError` if the surrounding task was cancelled.
  public mutating func writeSuccessor(to other: inout TrainingState) throws {
    guard let visited, visited < sequence.count else {
      preconditionFailure("no state has been visited, or it is the last of the sequence")
    }
    try other.copy(from: state)
    let batch = sequence[visited]
    try executor.apply(BatchRun(batch, batch), of: map, to: &other)
  }

  private func slots(_ tier: SlotTier) -> (any SlotStorage)? { tier == .memory ? memory : storage }

  private mutating func advance(over positions: Range<Int>) throws {
    for run in sequence.runs(in: positions) { try executor.apply(run, of: map, to: &state) }
    updates += positions.count
  }
}
