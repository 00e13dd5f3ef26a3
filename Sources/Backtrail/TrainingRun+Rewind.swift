import Foundation
import Networks
import Replay
import Storage
import Tensors

/// A state visited on the way back along an iterate's path.
public struct RewoundState: Codable, Sendable {
  /// Updates it has had; 0 is the initial state.
  public let n: Int
  /// The batch that was applied to it.
  public let batch: Int
  /// The mean loss of that batch's examples before it was applied.
  public let trainingLoss: Double
  /// The Euclidean distance of its parameters and buffers to those of the iterate the walk began at.
  public let distance: Double
  public let digest: Digest
}

/// What a rewind took: with the states the document `rewind --json` prints.
public struct RewindResult: Codable, Sendable {
  public let order: String
  public let seed: Int
  /// The walk visits the states from − 1 … to.
  public let from: Int
  public let to: Int
  public let slots: Int
  public let diskSlots: Int
  /// Updates applied to visit the states. The iterate that distances are to takes one more.
  public let updates: Int
  public let diskWrites: Int
  public let diskReads: Int
  /// By the measured times of an update, a write and a read; nil without disk slots, where they decide nothing.
  public let predictedSeconds: Double?
  public let seconds: Double
  /// Where the caller kept them.
  public let states: [RewoundState]
}

extension TrainingRun {
  /// Visits the states on an iterate's path, from the one before its last update back to `to`.
  /// - Parameters:
  ///   - n: the iterate; its path has as many updates as its batch sequence has batches.
  ///   - to: the last state visited, in updates from the start; 0 is the initial state.
  ///   - slots: states held in memory besides the start and the one at hand.
  ///   - diskSlots: states held in files; where to use them is decided by the measured times of an update, a write and
  ///     a read.
  ///   - visit: called for every state; those it returns true for are in the result.
  public func rewind(
    order: CompositionOrder, n: Int, to: Int = 0, seed: Int, slots: Int, diskSlots: Int = 0,
    visit: (RewoundState) throws -> Bool
  ) throws -> RewindResult {
    let replica = try replica(ofSeed: seed)
    let map = experiment.maps[replica]
    let sequence = try experiment.sequence(of: order, n)
    guard to < sequence.count else {
      throw RunError.usage("--to is \(to), but the path of iterate \(n) has the states 0 to \(sequence.count)")
    }
    let storage = try SlotFiles.ofReader(folder)
    defer { storage.removeAll() }
    let initial = StoredState(try experiment.initialState(replica: replica))
    let schedule = try RewindSchedule(
      visiting: to..<sequence.count, memorySlots: slots, diskSlots: diskSlots,
      costs: try costs(map: map, initial: initial, storage: diskSlots > 0 ? storage : nil))

    let begin = ContinuousClock.now
    var rewinder = try Rewinder(map, along: sequence, from: initial, schedule: schedule, storage: storage)
    var workspace = try map.makeWorkspace()
    var copy = try StateBuffer(count: map.stateCount)
    var iterate = TrainingState(values: try StateBuffer(count: map.stateCount))
    var states: [RewoundState] = []
    while let position = try rewinder.next() {
      if position == sequence.count - 1 { rewinder.writeSuccessor(to: &iterate) }
      copy.copy(from: rewinder.state.values)
      let distance = iterate.values.distance(to: copy)
      let state = RewoundState(
        n: position, batch: sequence[position],
        trainingLoss: map.trainingLoss(batch: sequence[position], of: &copy, workspace: &workspace),
        distance: distance, digest: rewinder.state.digest)
      if try visit(state) { states.append(state) }
    }
    return RewindResult(
      order: order.description, seed: seed, from: sequence.count, to: to, slots: schedule.memorySlots,
      diskSlots: schedule.diskSlots, updates: rewinder.updates,
      diskWrites: schedule.diskWrites, diskReads: schedule.diskReads, predictedSeconds: diskSlots > 0 ? schedule.seconds : nil,
      seconds: (.now - begin) / .seconds(1), states: states)
  }

  /// Measures an update, and a write and a read of a state where there is storage.
  private func costs(map: NetworkUpdateMap, initial: StoredState, storage: SlotFiles?) throws -> SlotCosts {
    guard let storage else { return SlotCosts(step: 1) }
    let step = try TrialRates(experiment).secondsPerUpdate
    var state = TrainingState(values: try StateBuffer(count: map.stateCount))
    initial.read { state.copy(from: $0) }
    let begin = ContinuousClock.now
    try storage.save(state, slot: 0)
    let written = ContinuousClock.now
    try storage.load(slot: 0, into: &state)
    let read = ContinuousClock.now
    try storage.release(slot: 0)
    return SlotCosts(step: step, write: (written - begin) / .seconds(1), read: (read - written) / .seconds(1))
  }
}
