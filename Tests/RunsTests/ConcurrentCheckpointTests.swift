import Foundation
import Replay
import Runs
import Tensors
import TestSupport
import Testing

/// States that several lanes store at once, and those that a stopped run still writes.
@Suite struct ConcurrentCheckpointTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func makeDatabase() throws -> (RunFolder, RunDatabase) {
    let run = try RunFolder.create(at: folder("run"))
    let record = RunRecord(configuration: "{}", fingerprint: "test", createdAt: Date())
    return (run, try RunDatabase.create(in: run, record: record))
  }

  /// Two lanes that are stopped at the same place of one path have the same state to store.
  @Test func oneStateIsStoredOnceByManyLanes() async throws {
    let (run, database) = try makeDatabase()
    let checkpoints = try RunCheckpoints(
      run, database, seeds: [0], orders: [.forward], averages: [], stored: [[]], needed: [], policy: CheckpointPolicy(),
      budget: nil, makeState: { try StateBuffer(count: 20_000) })
    for position in 1...cases(20, long: 500) {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<4 {
          group.addTask {
            var state = TrainingState(values: try StateBuffer(count: 20_000), updateCount: position)
            state.values[0] = Float(position)
            try checkpoints.save(
              state, averages: [], replica: 0, at: PathPoint(Iterate(order: 0, n: 1000), position: position))
          }
        }
        try await group.waitForAll()
      }
    }
    let records = try database.checkpoints()
    #expect(records.map(\.position) == Array(1...cases(20, long: 500)))
    for record in records { #expect(run.damages(of: record, among: CheckpointIndex(records)).isEmpty) }
  }

  @Test func aCancelledTaskWritesWhatIsPending() async throws {
    let (_, database) = try makeDatabase()
    for round in 0..<cases(20, long: 500) {
      let writing = Task {
        let writer = ObservationWriter(database)
        withUnsafeCurrentTask { $0?.cancel() }
        for n in 1...20 {
          try writer.add([
            Observation(
              seed: round, series: .forward, n: n, measurements: Measurements([0], of: [Metric("loss")]),
              digest: Digest(of: [UInt8(n)].span.bytes))
          ])
        }
        try await writer.finish()
      }
      try await writing.value
      #expect(try database.observations().count { $0.seed == round } == 20)
    }
  }
}
