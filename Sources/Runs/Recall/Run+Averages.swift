import Formats
import Replay
import Tensors

/// Averages of forward's iterates at one n that are made after the run: the document that `average --json` prints.
public struct ForwardAverages: Encodable, Sendable {
  public struct Average: Sendable {
    /// The name of the average as it was asked for; `forward` is the iterate itself.
    public let average: String
    public let seed: Int
    /// ‖w − v‖ / ‖w‖, where w are the requested weights and v those of this average; 0 if they are the same.
    public let weightDistance: Double
    public let measurements: Measurements
    public let digest: Digest
  }

  /// An average over seeds.
  public struct Summary: Sendable {
    public let average: String
    /// The largest weight distance of any seed.
    public let weightDistance: Double
    public let measurements: Measurements
    /// The standard deviation of each metric between seeds; nil for one seed.
    public let spreads: [Double]?

    fileprivate init(_ name: String, _ seeds: [Average], metrics: [Metric]) {
      func over(_ summary: ([Double]) -> Double) -> [Double] {
        metrics.indices.map { metric in summary(seeds.map { $0.measurements.values[metric] }) }
      }
      average = name
      weightDistance = seeds.map(\.weightDistance).max() ?? 0
      measurements = Measurements(over(mean), of: metrics)
      spreads = seeds.count > 1 ? over { standardDeviation($0) ?? 0 } : nil
    }
  }

  public let run: String
  public let iterate: Int
  /// The gradient evaluations for all seeds together.
  public let gradientEvaluations: Int
  /// The iterate, then the requested averages, each for all seeds.
  public let averages: [Average]
  public let summary: [Summary]
}

extension ForwardAverages.Average: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: DocumentKey.self)
    try document.encode(average, forKey: "average")
    try document.encode(seed, forKey: "seed")
    try document.encode(weightDistance, forKey: "weightDistance")
    try document.encode(measurements)
    try document.encode(digest, forKey: "digest")
  }
}

extension ForwardAverages.Summary: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: DocumentKey.self)
    try document.encode(average, forKey: "average")
    try document.encode(weightDistance, forKey: "weightDistance")
    try document.encode(measurements)
    for (metric, spread) in zip(measurements.metrics, spreads ?? []) {
      try document.encode(spread, forKey: DocumentKey("\(metric.name)Spread"))
    }
  }
}

extension Run {
  /// The last n at which forward is observed, where its running averages end; nil if the run has no forward order.
  public var lastAveragedIterate: Int? { specification.selection.points(of: .forward)?.last }

  /// Averages of forward's iterates 1 … n with any weights, combined from the running averages and iterates in
  /// checkpoints: those at n and, for weights they can't represent, those before.
  /// - Parameters:
  ///   - seeds: Seeds of the run.
  ///   - isExact: Whether forward's path is replayed instead, once per seed for all of `profiles`.
  /// - Throws: `RunError.impossible` if no running averages are stored at n.
  public func averages(
    _ profiles: [AverageProfile], n: Int, seeds: [Int], isExact: Bool, progress: ReplayProgress = ReplayProgress()
  ) async throws -> ForwardAverages {
    guard !seeds.isEmpty, (1...BatchRun.largestBatch).contains(n) else {
      throw RunError.usage("averages are of one seed or more, and of the iterates 1 to n, but there are \(seeds.count) seeds and n is \(n)")
    }
    let rules = try profiles.map { profile throws(AverageError) in try profile.rule(endingAt: n) }
    // The iterate is an average over itself alone.
    let wanted = [AverageRule.uniform(after: n - 1)] + rules
    var evaluations = 0
    var found: [[MeasuredAverage]] = []
    for seed in seeds {
      let replica = try replica(ofSeed: seed)
      if let first = try database.diverged(seed: seed, series: .forward).first, first <= n {
        throw RunError.impossible("forward has diverged at iterate \(first) (seed \(seed)), so there are no averages at \(n); give `iterate` before that")
      }
      if isExact {
        let results = MeasuredAverages()
        evaluations += try await replayForward(
          to: n, replica: replica, averages: rules, progress: progress
        ) { average, state, workspace in
          results.add(try measured(state, seed: seed, weightDistance: 0, &workspace), at: average.map { $0 + 1 } ?? 0)
        }
        found.append(results.inOrder)
      } else {
        found.append(try combined(wanted, n: n, replica: replica))
      }
    }
    let names = [Series.forward.description] + profiles.map(\.description)
    var averages: [[ForwardAverages.Average]] = names.map { _ in [] }
    for (index, name) in names.enumerated() {
      for (seed, found) in zip(seeds, found.map { $0[index] }) {
        guard found.measurements.loss.isFinite else {
          // The iterate itself comes first: if it is finite, so are the iterates that its averages are made of.
          let reason = isExact || index == 0 ? "the updates diverge" : "some of its weights are negative; `exact` makes it from forward's path"
          throw RunError.impossible(
            "the \(problem.metrics[0].title) of \(name) at iterate \(n) (seed \(seed)) is not finite: \(reason)")
        }
        // An iterate or average that the run observed has the same bits however it is brought back.
        if found.weightDistance == 0, index == 0 || workload.averages.contains(wanted[index]) {
          try check(found.digest, observedAs: index == 0 ? .forward : .average(wanted[index]), n: n, seed: seed)
        }
        averages[index].append(
          ForwardAverages.Average(
            average: name, seed: seed, weightDistance: found.weightDistance, measurements: found.measurements,
            digest: found.digest))
      }
    }
    return ForwardAverages(
      run: folder.path, iterate: n, gradientEvaluations: evaluations, averages: averages.flatMap { $0 },
      summary: zip(names, averages).map { ForwardAverages.Summary($0, $1, metrics: problem.metrics) })
  }

  /// Replays forward's path to iterate n. `visit` is called there with each running average and the index of its
  /// rule, and with the iterate and nil.
  /// - Parameters:
  ///   - stored: The states that the replay may start from, with averages by these rules; nil for none.
  ///   - isUsable: Whether a stored state may be used.
  /// - Returns: The number of updates applied.
  func replayForward(
    to n: Int, replica: Int, averages rules: [AverageRule], from stored: StoredStates? = nil,
    isUsable: (CheckpointRecord) -> Bool = { _ in true }, progress: ReplayProgress = ReplayProgress(),
    visit: @escaping ForwardVisitor<Problem.Map.Workspace>.Visit
  ) async throws -> Int {
    let sequence = try specification.sequence(of: .forward, n)
    let nearest = stored?.nearest(on: sequence) { !$0.averages.isEmpty && isUsable($0) }
    let plan = try recallPlan(.forward, n, from: nearest, averageCount: rules.count)
    let engine = ReplayEngine(
      maps: [specification.maps[replica]],
      initialStates: [.kept(StoredState(try specification.initialState(replica: replica)))],
      observer: ForwardVisitor(visit: visit), averages: rules,
      checkpoints: StoredStateReader(
        folder: folder, records: nearest.map { [$0] } ?? [], among: stored?.index ?? CheckpointIndex([])))
    return try await engine.run(plan, lanes: 1, progress: progress).gradientEvaluations
  }

  /// A state or average of forward's path that a checkpoint holds.
  private struct Stored {
    let record: CheckpointRecord
    /// The index of the average's rule; nil for the iterate.
    let average: Int?
    let weights: AverageWeights
  }

  /// Computes averages as linear combinations of stored states and averages.
  private func combined(_ wanted: [AverageRule], n: Int, replica: Int) throws -> [MeasuredAverage] {
    let records = try storedStates()[replica]
    let stored = try checkpointsWithAverages(among: records, n: n, wanted).flatMap { record in
      [Stored(record: record, average: nil, weights: AverageWeights(.uniform(after: record.position - 1), n: record.position))]
        + workload.averages.enumerated().map {
          Stored(record: record, average: $0, weights: AverageWeights($1, n: record.position))
        }
    }
    let combinations = wanted.map { AverageSynthesis(AverageWeights($0, n: n), from: stored.map(\.weights)) }
    let parents = CheckpointIndex(records)
    let numberCount = specification.numberCount
    let sums = try wanted.map { _ in try StoredState(for: specification.maps[replica]) }
    var isBegun = wanted.map { _ in false }
    var part = TrainingState(values: try specification.makeState())
    for (index, stored) in stored.enumerated() where combinations.contains(where: { $0.coefficients[index] != 0 }) {
      if let average = stored.average {
        try folder.restore(stored.record.averages[average], of: stored.record, into: &part)
      } else {
        try folder.restore(stored.record, among: parents, into: &part)
      }
      for (place, combination) in combinations.enumerated() where combination.coefficients[index] != 0 {
        try sums[place].write { sum throws in
          try sum.values.assign(
            Float(combination.coefficients[index]), times: part.values, plus: isBegun[place] ? 1 : 0, first: numberCount)
          // What is no number is the last state's, which comes first.
          if !isBegun[place] { try sum.values.copy(from: part.values, startingAt: numberCount) }
          sum.updateCount = n
        }
        isBegun[place] = true
      }
    }
    var workspace = try specification.maps[replica].makeWorkspace()
    let seed = workload.seeds.lowerBound + replica
    return try zip(sums, combinations).map { sum, combination in
      try sum.read { state throws in try measured(state, seed: seed, weightDistance: combination.distance, &workspace) }
    }
  }

  /// The checkpoints that averages at n are combined from: the one at n, some before it at geometrically growing
  /// distances, and those where the averages over the last L iterates begin.
  private func checkpointsWithAverages(
    among records: [CheckpointRecord], n: Int, _ wanted: [AverageRule]
  ) throws(RunError) -> [CheckpointRecord] {
    let all = records.filter { !$0.averages.isEmpty }.sorted { $0.position > $1.position }
    guard all.contains(where: { $0.position == n }) else {
      let nearest = all.map(\.position).sorted { abs($0 - n) < abs($1 - n) }.prefix(3).sorted().map(String.init)
      let place = nearest.isEmpty ? "" : " at iterate \(n)"
      let others =
        nearest.isEmpty ? "" : "the nearest are at \(nearest.joined(separator: ", ")): name one of them with `iterate`, or "
      throw .impossible(
        """
        \(folder.path) stores no running averages of forward\(place); \(others)give `exact`, which replays forward's path \
        with \(n) gradient evaluations
        """)
    }
    var begins: Set<Int> = []
    for case .uniform(let skipped) in wanted { begins.insert(skipped) }
    var reach = 0.0
    return all.filter { record in
      let distance = n - record.position
      guard distance >= 0 else { return false }
      guard Double(distance) >= 1.25 * reach else { return begins.contains(record.position) }
      reach = Double(distance)
      return true
    }
  }

  private func measured(
    _ state: borrowing TrainingState, seed: Int, weightDistance: Double, _ workspace: inout Problem.Map.Workspace
  ) throws -> MeasuredAverage {
    MeasuredAverage(
      weightDistance: weightDistance, measurements: try specification.measure(state, seed: seed, workspace: &workspace),
      digest: try state.digest)
  }
}

private struct MeasuredAverage: Sendable {
  let weightDistance: Double
  let measurements: Measurements
  let digest: Digest
}

/// The results of a replay of forward's path, by the index of the requested average.
private final class MeasuredAverages: Sendable {
  private let found = Lock<[Int: MeasuredAverage]>([:])

  func add(_ measured: MeasuredAverage, at place: Int) { found.withLock { $0[place] = measured } }

  var inOrder: [MeasuredAverage] { found.withLock { found in found.sorted { $0.key < $1.key }.map(\.value) } }
}

/// Passes the one iterate of forward that a plan observes, and the running averages there, to a closure.
struct ForwardVisitor<Workspace: ~Copyable>: IterateObserver {
  /// Called with the index of an average's rule, or with nil for the iterate.
  typealias Visit =
    @Sendable (_ average: Int?, _ state: borrowing TrainingState, _ workspace: inout Workspace) throws -> Void

  let visit: Visit

  func observe(_ iterates: [Iterate], replica: Int, state: borrowing TrainingState, workspace: inout Workspace) throws {
    try visit(nil, state, &workspace)
  }

  func observeAverage(
    _ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout Workspace
  ) throws {
    try visit(index, state, &workspace)
  }
}
