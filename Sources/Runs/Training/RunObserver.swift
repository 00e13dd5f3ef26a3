import Formats
import Replay
import Tensors

/// Measures every iterate and passes the observation to the database.
struct RunObserver<Problem: TrainingProblem>: IterateObserver {
  let specification: RunSpecification<Problem>
  let writer: ObservationWriter

  private var problem: Problem { specification.problem }

  var endsDivergedPaths: Bool { true }

  func observe(
    _ iterates: [Iterate], replica: Int, state: borrowing TrainingState, workspace: inout Problem.Map.Workspace
  ) throws {
    try record(
      iterates.map { (.order(specification.selection.orders[$0.order]), $0.n) }, replica: replica, state: state,
      workspace: &workspace)
  }

  func observeAverage(
    _ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout Problem.Map.Workspace
  ) throws {
    try record(
      [(.average(specification.workload.averages[index]), n)], replica: replica, state: state, workspace: &workspace)
  }

  func observeDivergence(_ iterates: [Iterate], replica: Int) throws {
    try diverge(iterates.map { (.order(specification.selection.orders[$0.order]), $0.n) }, replica: replica)
  }

  func observeAverageDivergence(_ index: Int, n: Int, replica: Int) throws {
    try diverge([(.average(specification.workload.averages[index]), n)], replica: replica)
  }

  private func diverge(_ names: [(series: Series, n: Int)], replica: Int) throws {
    let seed = specification.workload.seeds.lowerBound + replica
    try writer.add([], diverged: names.map { DivergedIterate(seed: seed, series: $0.series, n: $0.n) })
  }

  private func record(
    _ names: [(series: Series, n: Int)], replica: Int, state: borrowing TrainingState,
    workspace: inout Problem.Map.Workspace
  ) throws {
    let seed = specification.workload.seeds.lowerBound + replica
    let measurements = try specification.measure(state, seed: seed, workspace: &workspace)
    guard !specification.workload.isDiverged(measurements) else { throw IterateDiverged() }
    // What reading would refuse is never stored.
    for (metric, value) in zip(measurements.metrics, measurements.values) where !metric.range.contains(value) {
      throw RunError.impossible(
        """
        \(problem.name) measured the \(metric.title) \(value) at iterate \(names[0].n) of \(names[0].series) (seed \(seed)), but gives its \
        range as \(metric.least) to \(metric.greatest); give a range that holds every value
        """)
    }
    let digest = try state.digest
    try writer.add(
      names.map { name in
        Observation(
          seed: seed, series: name.series, n: name.n, measurements: measurements,
          trainingLoss: name.series.order == nil ? nil : state.trainingLoss, digest: digest)
      })
  }
}

extension RunSpecification {
  /// Measures the values of the problem's metrics.
  /// - Throws: `RunError.impossible` if the problem does not give one value per metric.
  func measure(
    _ state: borrowing TrainingState, seed: Int, workspace: inout Problem.Map.Workspace
  ) throws -> Measurements {
    let values = try problem.measure(state, seed: seed, workspace: &workspace)
    guard values.count == problem.metrics.count else {
      throw RunError.impossible(
        "\(problem.name) has \(problem.metrics.count) metrics, but measured \(values.count) values; give a value for each")
    }
    return Measurements(values, of: problem.metrics)
  }
}

/// Keeps a copy of the one iterate that a plan observes.
struct StateKeeper<Workspace: ~Copyable>: IterateObserver {
  let kept: StoredState

  func observe(_ iterates: [Iterate], replica: Int, state: borrowing TrainingState, workspace: inout Workspace) throws {
    try kept.copy(from: state)
  }
}
