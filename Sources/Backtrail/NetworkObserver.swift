import Replay
import Storage
import Synchronization
import Tensors

/// Evaluates every iterate on the test examples and hands the result to the database.
struct NetworkObserver: IterateObserver {
  /// By replica.
  let maps: [NetworkUpdateMap]
  let orders: [CompositionOrder]
  let seeds: Range<Int>
  /// By rule.
  let averageNames: [String]
  let writer: ObservationWriter

  func observe(
    _ iterates: [Iterate], replica: Int, state: borrowing TrainingState,
    workspace: inout NetworkUpdateMap.Workspace
  ) throws {
    try record(
      iterates.map { (orders[$0.order].description, $0.n) }, replica: replica, state: state, workspace: &workspace)
  }

  func observeAverage(
    _ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout NetworkUpdateMap.Workspace
  ) throws {
    try record([(averageNames[index], n)], replica: replica, state: state, workspace: &workspace)
  }

  private func record(
    _ names: [(series: String, n: Int)], replica: Int, state: borrowing TrainingState,
    workspace: inout NetworkUpdateMap.Workspace
  ) throws {
    let measured = maps[replica].evaluate(state.values, workspace: &workspace)
    let (loss, accuracy) = (measured[0], measured[1])
    let seed = seeds[seeds.startIndex + replica]
    guard loss.isFinite else {
      throw RunError.diverged(order: names[0].series, seed: seed, n: names[0].n)
    }
    let digest = state.digest
    try writer.add(
      names.map {
        Observation(
          seed: seed, series: $0.series, n: $0.n, testLoss: loss, testAccuracy: accuracy, digest: digest)
      })
  }
}

/// Keeps a copy of the one iterate a plan observes.
struct StateKeeper: IterateObserver {
  let kept: StoredState

  func observe(
    _ iterates: [Iterate], replica: Int, state: borrowing TrainingState,
    workspace: inout NetworkUpdateMap.Workspace
  ) {
    kept.write { $0.copy(from: state) }
  }
}
