import Tensors

/// Visits the states of one path in reverse, as a schedule says.
///
///     var rewinder = try Rewinder(map, along: order.sequence(n), from: initialState, schedule: schedule)
///     while let position = try rewinder.next() {
///       print(position, rewinder.state.digest)
///     }
///
/// All memory is taken at the beginning: the working state and the schedule's memory slots. States have the same bits
/// as in a replay that runs through the sequence once, unless slots were given that round them: then a state is as the
/// updates make it from the last rounded one on its way.
public struct Rewinder<Map: UpdateMap>: ~Copyable {
  /// Overwrites a state by the given one at a position of the path.
  public typealias ReadGiven = (_ position: Int, _ state: inout TrainingState) throws -> Void

  /// The working state; after `next()` has returned a position, the state there.
  public private(set) var state: TrainingState
  /// Updates applied so far; in the end `schedule.updates`.
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
  ///   - map: the update.
  ///   - sequence: the batches of the path.
  ///   - initialState: state 0, as long as the map's states.
  ///   - schedule: which states are visited, and which are kept on the way.
  ///   - storage: where states on disk are kept; needed when the schedule has disk slots.
  ///   - memory: where states in memory are kept; nil for `MemorySlots`.
  ///   - progress: is told of every update.
  ///   - readGiven: reads a state that the schedule was told of; needed when it begins at any.
  /// - Throws: `RewindError.sequenceTooShort`, `RewindError.storageMissing`, `TensorError.outOfMemory`, and what the
  ///   map's workspace throws.
  public init(
    _ map: Map, along sequence: BatchSequence, from initialState: StoredState, schedule: RewindSchedule,
    storage: (any SlotStorage)? = nil, memory: (any SlotStorage)? = nil, progress: ReplayProgress? = nil,
    readGiven: @escaping ReadGiven = { position, _ in throw RewindError.noGivenState(position) }
  ) throws {
    guard schedule.positions.upperBound - 1 <= sequence.count else {
      throw RewindError.sequenceTooShort(updates: sequence.count, needed: schedule.positions.upperBound - 1)
    }
    guard schedule.diskSlots == 0 || storage != nil else { throw RewindError.storageMissing }
    // What can fail comes first: a type that can't be copied is made whole or not at all.
    let executor = try BatchRunExecutor(for: map, progress: progress)
    let values = try StateBuffer(count: map.stateCount)
    self.memory = try memory ?? MemorySlots(count: schedule.memorySlots, stateCount: map.stateCount)
    self.map = map
    self.executor = executor
    self.sequence = sequence
    self.initialState = initialState
    self.readGiven = readGiven
    self.storage = storage
    state = TrainingState(values: values)
    instructions = schedule.makeIterator()
  }

  /// Goes to the next state, the one before in the sequence, and returns its position; nil after the last.
  /// - Throws: what the storage and the reading of given states throw, and `CancellationError` if the surrounding task was cancelled. The rewinder
  ///   is then of no more use.
  public mutating func next() throws -> Int? {
    try Task.checkCancellation()
    while let instruction = instructions.next() {
      switch instruction {
      case .start(0): initialState.read { state.copy(from: $0) }
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

  /// Visits all states that are left.
  public mutating func forEach(_ visit: (_ position: Int, _ state: borrowing TrainingState) throws -> Void) throws {
    while let position = try next() { try visit(position, state) }
  }

  /// Overwrites `other`, as long as the map's states, with the state one update after the one just visited.
  ///
  /// After the first visit of the states l − 1 … 0 of a path of l updates, that is the iterate itself, for one update
  /// more, which `updates` does not count.
  /// - Precondition: `next()` has returned a position, and the sequence has a batch there.
  /// - Throws: `CancellationError` if the surrounding task was cancelled.
  public mutating func writeSuccessor(to other: inout TrainingState) throws {
    guard let visited, visited < sequence.count else {
      preconditionFailure("no state has been visited, or it is the last of the sequence")
    }
    other.copy(from: state)
    let batch = sequence[visited]
    try executor.apply(BatchRun(batch, batch), of: map, to: &other)
  }

  private func slots(_ tier: SlotTier) -> (any SlotStorage)? { tier == .memory ? memory : storage }

  private mutating func advance(over positions: Range<Int>) throws {
    for run in sequence.runs(in: positions) { try executor.apply(run, of: map, to: &state) }
    updates += positions.count
  }
}
