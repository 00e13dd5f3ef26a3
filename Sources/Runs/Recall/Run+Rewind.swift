import Formats
import Foundation
import Replay
import Tensors

/// A state visited on the way back along an iterate's path.
public struct RewoundState: Codable, Sendable {
  /// The number of updates the state has had; 0 is the initial state.
  public let n: Int
  /// The batch that was applied to the state next.
  public let batch: Int
  /// The mean loss over that batch's examples before the batch was applied; nil if the problem computes none.
  public let trainingLoss: Double?
  /// The Euclidean distance of its parameters and buffers to those of the iterate the rewind began at.
  public let distance: Double
  public let digest: Digest
}

/// The costs of a rewind. With the states it is the document that `rewind --json` prints.
public struct RewindResult: Codable, Sendable {
  public let order: String
  public let seed: Int
  /// The rewind visits the states from − 1 … to.
  public let from: Int
  public let to: Int
  public let slots: Int
  public let diskSlots: Int
  /// The precision of parameters and buffers in slots: `float32`, `bfloat16` or `float16`.
  public let slotPrecision: String
  /// Whether states may differ from the iterates of the run because slots rounded them.
  public let isApproximate: Bool
  /// The number of updates applied to visit the states. The iterate that distances refer to takes one more.
  public let updates: Int
  /// The number of times a stored state of the path was read instead of computed.
  public let checkpointReads: Int
  public let diskWrites: Int
  public let diskReads: Int
  /// The largest total size in bytes of the states in memory slots at one time.
  public let memoryBytes: Int
  /// The largest total size in bytes of the files of disk slots at one time.
  public let diskBytes: Int
  /// The duration predicted from the measured times of an update, a write and a read; nil if they did not determine
  /// the schedule.
  public let predictedSeconds: Double?
  public let seconds: Double
  /// The visited states that the caller chose to keep.
  public let states: [RewoundState]
}

extension Run {
  /// Visits the states on an iterate's path, from the one before its last update back to `to`.
  /// - Parameters:
  ///   - n: The iterate; its path has as many updates as its batch sequence has batches.
  ///   - to: The last state visited, in updates from the start; 0 is the initial state.
  ///   - slots: The slots that hold states besides the start and the current state.
  ///   - willRewind: Called with the number of updates before the first; an error that it throws prevents the rewind.
  ///   - visit: Called for every state; those for which it returns true are in the result.
  public func rewind(
    order: CompositionOrder, n: Int, to: Int = 0, seed: Int, slots: RewindSlots, progress: ReplayProgress = ReplayProgress(),
    willRewind: (_ updates: Int) throws -> Void = { _ in }, visit: (RewoundState) throws -> Bool
  ) throws -> RewindResult {
    let replica = try replica(ofSeed: seed)
    let map = specification.maps[replica]
    let sequence = try path(of: order, n, to: to)
    let files = slots.disk > 0 ? try SlotFiles.ofRewind(folder, specification, slots.precision) : nil
    defer { files?.removeAll() }
    let initial = StoredState(try specification.initialState(replica: replica))
    let stored = StatesOnPath(of: sequence, among: try storedStates()[replica])
    let schedule = try schedule(visiting: to..<sequence.count, slots, stored: stored, initial: initial, files: files)
    try willRewind(schedule.updates)
    progress.expect(updates: schedule.updates)
    let stores = try RewindStores(
      specification, slots: schedule.memorySlots, precision: slots.precision, files: schedule.diskSlots > 0 ? files : nil)

    let begin = ContinuousClock.now
    var checkpointReads = 0
    var rewinder = try Rewinder(
      map, along: sequence, from: initial, schedule: schedule, storage: stores.disk, memory: stores.memory, progress: progress
    ) { position, state in
      checkpointReads += 1
      try stored.read(position, from: folder, into: &state)
    }
    var workspace = try map.makeWorkspace()
    var copy = try StateBuffer(count: map.stateCount)
    var iterate = TrainingState(values: try StateBuffer(count: map.stateCount))
    var states: [RewoundState] = []
    // States that slots rounded have other bits.
    let observed = slots.precision == .float32 ? try observedStates(on: sequence, of: order, seed: seed) : [:]
    while let position = try rewinder.next() {
      if position == sequence.count - 1 {
        try rewinder.writeSuccessor(to: &iterate)
        if observed[sequence.count] != nil { try check(iterate.digest, observedAs: .order(order), n: n, seed: seed) }
      }
      let digest = rewinder.state.digest
      if let n = observed[position] { try check(digest, observedAs: .order(order), n: n, seed: seed) }
      copy.copy(from: rewinder.state.values)
      let distance = iterate.values.distance(to: copy, first: specification.namedCount)
      let state = RewoundState(
        n: position, batch: sequence[position],
        trainingLoss: try problem.trainingLoss(batch: sequence[position], seed: seed, of: &copy, workspace: &workspace),
        distance: distance, digest: digest)
      if try visit(state) { states.append(state) }
    }
    let (memory, disk) = (stores.memory.use, stores.disk?.use)
    return RewindResult(
      order: order.description, seed: seed, from: sequence.count, to: to, slots: schedule.memorySlots,
      diskSlots: schedule.diskSlots, slotPrecision: slots.precision.description,
      isApproximate: slots.precision != .float32 && memory.loads + (disk?.loads ?? 0) > 0, updates: rewinder.updates,
      checkpointReads: checkpointReads, diskWrites: disk?.saves ?? 0, diskReads: disk?.loads ?? 0, memoryBytes: memory.peakBytes,
      diskBytes: disk?.peakBytes ?? 0, predictedSeconds: slots.disk > 0 && slots.least == .time ? schedule.seconds : nil,
      seconds: (.now - begin) / .seconds(1), states: states)
  }

  /// The observed iterates of an order that lie on one path: n by the number of updates they have had.
  private func observedStates(on path: BatchSequence, of order: CompositionOrder, seed: Int) throws -> [Int: Int] {
    var observed: [Int: Int] = [:]
    try database.forEachObservation(seed: seed, series: .order(order)) { observation in
      guard observation.n <= order.lastIterate ?? observation.n else { return }
      let sequence = order.sequence(observation.n)
      if path.agrees(with: sequence, upTo: sequence.count) { observed[sequence.count] = observation.n }
    }
    return observed
  }

  /// The batch sequence of an iterate.
  /// - Throws: `RunError.usage` if `to` is not before the iterate.
  func path(of order: CompositionOrder, _ n: Int, to: Int) throws(RunError) -> BatchSequence {
    let sequence = try specification.sequence(of: order, n)
    guard (0..<sequence.count).contains(to) else {
      throw .usage(
        "`to` is \(to), but the states visited from iterate \(n) lie from \(sequence.count - 1) to 0; give one of those")
    }
    return sequence
  }

  /// The schedule for the given slots and stored states.
  /// - Parameter files: The files with which writing and reading are measured.
  private func schedule(
    visiting positions: Range<Int>, _ slots: RewindSlots, stored: StatesOnPath, initial: StoredState, files: SlotFiles?
  ) throws -> RewindSchedule {
    guard slots.least == .time else {
      return try .fewestUpdates(
        visiting: positions, given: stored.given(read: 0), memorySlots: slots.memory, diskSlots: slots.disk)
    }
    // For memory alone nothing is measured: a checkpoint is assumed to be read in the time of an update.
    let costs = try files.map { try self.costs(initial: initial, files: $0) } ?? SlotCosts(step: 1, read: 1)
    return try RewindSchedule(
      visiting: positions, given: stored.given(read: costs.read), memorySlots: slots.memory, diskSlots: slots.disk, costs: costs)
  }

  /// Measures an update, and a write and a read of a state. Each is the fastest of several, since the first ones pay
  /// for new memory and other work on the machine slows some down.
  func costs(initial: StoredState, files: SlotFiles) throws -> SlotCosts {
    let step = try Calibration.rates(specification, lanes: 1)[0].secondsPerUpdate
    var state = TrainingState(values: try StateBuffer(count: specification.stateCount))
    initial.read { state.copy(from: $0) }
    var costs = SlotCosts(step: step, write: .greatestFiniteMagnitude, read: .greatestFiniteMagnitude)
    let first = ContinuousClock.now
    repeat {
      let begin = ContinuousClock.now
      try files.save(state, slot: 0)
      let written = ContinuousClock.now
      try files.load(slot: 0, into: &state)
      costs.write = min(costs.write, (written - begin) / .seconds(1))
      costs.read = min(costs.read, (.now - written) / .seconds(1))
      try files.release(slot: 0)
    } while .now - first < .milliseconds(50)
    return costs
  }
}

/// The stored states that lie on a path, whichever order they were stored for.
private struct StatesOnPath {
  private var records: [Int: CheckpointRecord] = [:]
  private let index: CheckpointIndex
  /// The number of files read to restore the state at each position.
  private var fileCounts: [Int: Int] = [:]

  init(of sequence: BatchSequence, among stored: [CheckpointRecord]) {
    index = CheckpointIndex(stored)
    for record in stored {
      guard let files = index.chain(to: record)?.count, files < fileCounts[record.position] ?? .max,
        record.order.sequence(record.n).agrees(with: sequence, upTo: record.position)
      else { continue }
      records[record.position] = record
      fileCounts[record.position] = files
    }
  }

  /// - Parameter read: The cost of reading one file.
  func given(read: Double) -> [GivenState] {
    fileCounts.map { GivenState(position: $0, cost: Double($1) * read) }
  }

  func read(_ position: Int, from folder: RunFolder, into state: inout TrainingState) throws {
    guard let record = records[position] else { throw RewindError.noGivenState(position) }
    try folder.restore(record, among: index, into: &state)
  }
}
