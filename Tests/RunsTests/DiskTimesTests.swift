import Foundation
import Replay
import Runs
import Tensors
import TestSupport
import Testing

/// What a state takes to leave memory is measured where it would go.
@Suite struct DiskTimesTests {
  /// Many floats that no update changes.
  private struct Large: UpdateMap, TrainingProblem {
    let stateCount: Int
    let metrics = [Metric("loss")]
    func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {}
    func writeInitialState(seed: Int, to state: inout StateBuffer) {
      RandomSource(seed: 1, purpose: .initialization).fillNormal(state.mutableVector, batch: 0, deviation: 1)
    }
    func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] { [0] }
  }

  private func times(count: Int, in folder: String) throws -> DiskTimes {
    let workload = try Workload(orders: [ObservedOrder(.forward)], steps: 1, observing: .every(1))
    return try DiskTimes(measuring: RunSpecification(Large(stateCount: count), workload), in: folder)
  }

  @Test func largerStatesTakeLonger() throws {
    let folder = try TemporaryFolder()
    let (small, large) = (try times(count: 1000, in: folder.path), try times(count: 8_000_000, in: folder.path))
    #expect(small.write > 0 && small.read > 0 && small.start > 0)
    // Eight thousand times the floats: hardly less than ten times as long, on a machine however busy.
    #expect(large.write > 10 * small.write && large.read > 10 * small.read && large.start > 10 * small.start)
    // What was written for a moment is gone.
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  @Test func aFolderThatCannotBeWrittenIsNoObstacle() throws {
    #expect(try times(count: 1000, in: "/no/such/folder").write > 0)
  }
}
