import Runs
import Networks
import Replay
import Tensors

extension Run {
  /// Compares the observations of each order of a finished run, by its whole schedule and by sparser ones, with the
  /// exact backward curve.
  /// - Parameters:
  ///   - from: The first compared n; nil for the middle of the run.
  ///   - measuresDistance: Whether last iterates are recalled to measure the distance of their parameters.
  /// - Throws: `RunError.impossible` if the run has no backward curve to compare with.
  public func frontier(from: Int? = nil, measuresDistance: Bool = true) async throws -> Frontier {
    let last = workload.steps
    let first = from ?? last / 2
    let selection = specification.selection
    guard let exact = selection.points(of: .backward) else {
      throw RunError.impossible("\(folder.path) has no backward curve to compare with; train one with `order` backward")
    }
    let compared = exact.filter { (first...max(first, last)).contains($0) }
    guard let final = compared.last, compared.count >= 3 else {
      throw RunError.impossible(
        """
        the backward curve of \(folder.path) is observed at \(compared.count) n from \(first) on, but 3 are needed; \
        observe it more often with `evaluate`, or compare from a smaller `compare-from`
        """)
    }
    guard try database.record().status == .finished, let result = try result() else {
      throw RunError.impossible("\(folder.path) is not finished; go on with 'backtrail resume \(folder.path)'")
    }
    // Missing observations can't be compared, and predicting their cost could take hours.
    let all = try database.observations()
    let divergences = try database.divergences()
    let observed = ObservedPoints(all, diverged: divergences)
    for (order, points) in selection.curves {
      for seed in workload.seeds where !observed.missing(points, of: .order(order), seed: seed).isEmpty {
        throw RunError.damaged(
          "\(folder.databasePath) lacks observations of \(order) (seed \(seed)); 'backtrail verify \(folder.path)' names what is missing")
      }
    }
    let observations = Dictionary(grouping: all, by: \.series)
    // Backward's iterates up to `first` are not compared.
    let late = divergences.filter { $0.series != .backward || (first...final).contains($0.n) }
    let lost = Set(late.filter { $0.series == .backward }.map(\.seed))
    let seeds = workload.seeds.filter { !lost.contains($0) }
    let diverged = Set(late.filter { !lost.contains($0.seed) }.map(\.series))
    let comparison = FrontierComparison(
      seeds: seeds, metrics: problem.metrics, observations: observations, range: first...final,
      isForwardDiverged: diverged.contains(.forward))

    var distances: [CompositionOrder: Estimate] = [:]
    if measuresDistance {
      for (order, estimate) in try await parameterDistances(at: final, seeds: seeds, besides: diverged) { distances[order] = estimate }
    }
    let files = try database.checkpoints().reduce((count: 0, bytes: 0)) {
      ($0.count + 1 + $1.averages.count, $0.bytes + $1.bytes)
    }
    let bytesPerState = files.bytes / max(1, files.count)
    var candidates: [FrontierCandidate] = []
    for (order, points) in selection.curves where !seeds.isEmpty && !diverged.contains(.order(order)) {
      for (schedule, points) in schedules(points, steps: last, range: first...final) {
        let cost = try cost(of: order, points: points, rates: result, bytesPerState: bytesPerState)
        // If all iterates lie on one path, observing fewer of them saves nothing.
        if let before = candidates.last, before.series == .order(order), before.cost.gradientEvaluations == cost.gradientEvaluations { continue }
        candidates.append(
          FrontierCandidate(
            series: .order(order), schedule: schedule, points: Set(points), cost: cost,
            distance: order == .backward ? nil : distances[order]))
      }
    }
    for (schedule, points) in automaticSchedules(of: exact, observations, seeds: seeds) {
      candidates.append(
        FrontierCandidate(
          series: .backward, schedule: schedule, points: Set(points),
          cost: try cost(of: .backward, points: points, rates: result, bytesPerState: bytesPerState), distance: nil))
    }
    if let points = selection.points(of: .forward), !seeds.isEmpty {
      for average in workload.averageSeries where !diverged.contains(average) {
        candidates.append(
          FrontierCandidate(
            series: average, schedule: "\(points.count) points", points: Set(points),
            cost: try cost(of: .forward, points: points, rates: result, bytesPerState: bytesPerState), distance: nil))
      }
    }
    var frontier = comparison.frontier(candidates, run: folder.path)
    frontier.comparison = result.summary
    let byLine = result.summary.filter { !$0.diverged.isEmpty }.compactMap { line in
      line.series.map { Frontier.DivergedSeries(series: $0, seeds: line.diverged) }
    }
    frontier.diverged = byLine.isEmpty ? nil : byLine
    return frontier
  }

  /// The n that automatic schedules with several error bounds would have observed of the exact curve. They are known
  /// if every n was observed.
  private func automaticSchedules(
    of points: [Int], _ observations: [Series: [Observation]], seeds: [Int]
  ) -> [(schedule: String, points: [Int])] {
    let steps = workload.steps
    guard points == Array(1...steps), !seeds.isEmpty else { return [] }
    let bySeed = Dictionary(grouping: observations[.backward] ?? [], by: \.seed)
    let losses = seeds.map { seed in
      Dictionary(uniqueKeysWithValues: (bySeed[seed] ?? []).map { ($0.n, $0.measurements.loss) })
    }
    var found: [(schedule: String, points: [Int])] = []
    for error in [0.02, 0.01, 0.005, 0.002, 0.001, 0.0005] {
      let observation = AdaptiveObservation(steps: steps, error: error, budget: nil) { Double($0) }
      let points = observation.outcome(losses: losses).points
      if found.last?.points != points { found.append(("auto:\(error)", points)) }
    }
    return found
  }

  private func cost(
    of order: CompositionOrder, points: [Int], rates: RunResult, bytesPerState: Int
  ) throws -> RunCost {
    try specification.cost(
      ofAlone: IterateSelection([order], [points]), secondsPerUpdate: rates.secondsPerUpdate ?? 0,
      secondsPerObservation: rates.secondsPerObservation ?? 0, bytesPerState: bytesPerState)
  }

  /// The distance of the parameters of each order's iterate n from backward's, relative to backward's distance from
  /// the start.
  /// - Parameter diverged: Series that are left out.
  private func parameterDistances(
    at n: Int, seeds: [Int], besides diverged: Set<Series>
  ) async throws -> [(CompositionOrder, Estimate)] {
    var values: [CompositionOrder: [Double]] = [:]
    for seed in seeds {
      let replica = try replica(ofSeed: seed)
      let exact = try await recalledState(.backward, n, seed: seed).state
      let start = StoredState(try specification.initialState(replica: replica))
      let way = try problem.layout.parameterDistance(exact, start)
      for (order, points) in specification.selection.curves
      where order != .backward && points.contains(n) && !diverged.contains(.order(order)) {
        let state = try await recalledState(order, n, seed: seed).state
        values[order, default: []].append(try problem.layout.parameterDistance(state, exact) / way)
      }
    }
    return values.map { ($0, Estimate($1)) }
  }
}

/// The points of a schedule, and sparser schedules that use some of them. Each has at least two points in `range`.
private func schedules(
  _ points: [Int], steps: Int, range: ClosedRange<Int>
) -> [(schedule: String, points: [Int])] {
  let all = Set(points)
  let step = points.first ?? 1
  var found: [(String, [Int])] = []
  func add(_ schedule: EvaluationSchedule, _ wanted: [Int]) {
    guard wanted.count(where: range.contains) >= 2, !found.contains(where: { $0.1 == wanted }) else { return }
    found.append((schedule.description, wanted))
  }
  for schedule in [1, 2, 4, 5, 10, 20, 25, 50, 100, 200, 250, 500].map({ EvaluationSchedule.every(step * $0) }) {
    if let wanted = try? schedule.points(steps: steps), wanted.allSatisfy(all.contains) { add(schedule, wanted) }
  }
  // Training curves bend where n is small, so these points are evenly spaced in log n, at the nearest observed n.
  for schedule in [80, 40, 28, 20, 14, 10, 7].map(EvaluationSchedule.logarithmic) {
    let wanted = (try? schedule.points(steps: steps)) ?? []
    add(schedule, Set(wanted.compactMap { n in points.min { abs($0 - n) < abs($1 - n) } }).sorted())
  }
  if !found.contains(where: { $0.1 == points }) { found.insert(("\(points.count) points", points), at: 0) }
  return found
}
