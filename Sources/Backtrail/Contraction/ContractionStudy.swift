import Foundation
import Networks
import Replay
import Runs
import Tensors

/// What is measured of how a run's updates contract.
public struct ContractionStudy: Sendable {
  /// The run's seed; nil for its first.
  public var seed: Int?
  /// n of the iterates whose paths are followed; nil for the run's last.
  public var iterate: Int?
  public var kind = PerturbationKind.update
  public var directions = 4
  /// The distance that perturbations are set back to, as a part of the norm of the initial parameters and buffers; nil for how far one
  /// update moves the initial state.
  public var size: Double?
  /// After how many updates they are set back.
  public var interval = 10
  /// At how many n, evenly spaced in log n, the distance of successive iterates is measured; 0 for none.
  public var points = 12
  /// How many test examples function distances are over, as many as whole evaluation batches hold; nil for all that the run evaluates.
  public var examples: Int? = 1000
  /// Whether forward's and backward's paths are followed at the same time.
  public var lanes = 2

  /// The blocks of updates whose exponents give the interval.
  private static let blockCount = 10
  /// How many tails are compared: those of n / 2, n / 4, … batches.
  private static let tailCount = 7
  private static let fraction = 0.01
  /// The other distances of pairs, in terms of the usual one.
  private static let otherSizes = [1.0 / 64, 1.0 / 8, 8]

  public init() {}

  /// Measures a run. Its folder is not changed.
  /// - Parameter willReplay: Called with the number of gradient evaluations before the first; an error that it throws ends the study.
  /// - Throws: `RunError.usage` for a number that is out of range, and `RunError.impossible` where updates diverge.
  public func measure(
    _ run: NetworkRun, progress: ReplayProgress = ReplayProgress(), willReplay: (_ gradientEvaluations: Int) throws -> Void = { _ in }
  ) async throws -> Contraction {
    let begin = ContinuousClock.now
    let seed = seed ?? run.workload.seeds.lowerBound
    let n = iterate ?? run.workload.steps
    try check(n)
    let replica = try run.replica(ofSeed: seed)
    let tails = Self.tails(of: n)
    let points = points > 0 ? try EvaluationSchedule.logarithmic(points).points(steps: n).filter { $0 > 1 } : []
    let recalls = Recalls(run, seed: seed, replica: replica, examples: examples, progress: progress)
    let trajectories = n * (2 * (1 + directions) + 2 * Self.otherSizes.count)
    let wanted = tails.map { (CompositionOrder.tail($0), n) } + [(.forward, n), (.backward, n)]
      + points.flatMap { point in [CompositionOrder.forward, .backward].flatMap { [($0, point - 1), ($0, point)] } }
    try willReplay(try wanted.reduce(trajectories) { $0 + (try run.recallCost(of: $1.0, n: $1.1, seed: seed)) })

    let (forward, backward, size, sizes) = try await growths(run, replica: replica, n: n, recalls, progress: progress)
    let origin = try await recalls.iterate(.forward, 0)
    let ends = (forward: try await recalls.iterate(.forward, n), backward: try await recalls.iterate(.backward, n))
    let forwardDistance = try recalls.distance(ends.forward, ends.backward)
    var checked: [TailCheck.Point] = []
    for tail in tails.reversed() {
      let distance = try recalls.distance(try await recalls.iterate(.tail(tail), n), ends.backward)
      checked.append(
        TailCheck.Point(
          tail: tail, distance: distance.parameters,
          predictedDistance: forwardDistance.parameters * exp(backward.logarithmOfGrowth(first: tail)), functionDistance: distance.function,
          predictedFunctionDistance: forwardDistance.function * exp(backward.logarithmOfFunctionGrowth(first: tail))))
    }
    var changes: [IterateChange] = []
    for order in [CompositionOrder.forward, .backward] {
      for point in points {
        let last = try await recalls.iterate(order, point)
        let change = try recalls.distance(last, try await recalls.iterate(order, point - 1))
        let way = try recalls.distance(last, origin)
        changes.append(
          IterateChange(
            order: order.description, n: point, distance: change.parameters, travelled: way.parameters, functionDistance: change.function,
            functionTravelled: way.function))
      }
    }
    return Contraction(
      run: run.folder.path, seed: seed, iterate: n, directions: directions, kind: kind, size: size, interval: interval,
      forward: forward, backward: backward, sizes: sizes,
      tails: TailCheck(
        forwardDistance: forwardDistance.parameters, forwardFunctionDistance: forwardDistance.function, points: checked,
        fraction: Self.fraction, tailByExponent: backward.updates(toShrinkBy: Self.fraction),
        tailByFunctionExponent: backward.updates(toShrinkPredictionsBy: Self.fraction),
        tailMeasured: checked.first { $0.distance <= Self.fraction * forwardDistance.parameters }?.tail,
        tailMeasuredInFunction: checked.first { $0.functionDistance <= Self.fraction * forwardDistance.function }?.tail),
      changes: changes, predictions: recalls.predictionCount(of: origin), gradientEvaluations: trajectories + recalls.gradientEvaluations,
      seconds: (.now - begin) / .seconds(1))
  }

  private static func tails(of n: Int) -> [Int] { (1...tailCount).map { n >> $0 }.filter { $0 > 0 } }

  private func check(_ n: Int) throws(RunError) {
    func wanted(_ name: String, _ value: some CustomStringConvertible, _ words: String) -> RunError {
      .usage("`\(name)` is \(value), but must be \(words)")
    }
    guard (2...BatchRun.largestBatch).contains(n) else { throw wanted("iterate", n, "a whole number from 2 to \(BatchRun.largestBatch)") }
    guard (1...100).contains(directions) else { throw wanted("directions", directions, "a whole number from 1 to 100") }
    if let size {
      guard size >= 1e-6, size <= 1 else { throw wanted("size", size, "a number from 0.000001 to 1") }
    }
    guard (1...1_000_000).contains(interval) else { throw wanted("interval", interval, "a whole number from 1 to 1000000") }
    guard (0...1000).contains(points) else { throw wanted("points", points, "a whole number from 0 to 1000") }
    guard examples ?? 1 >= 1 else { throw wanted("examples", examples ?? 0, "1 or more") }
    guard (1...Budgets.mostLanes).contains(lanes) else { throw wanted("lanes", lanes, "a whole number from 1 to \(Budgets.mostLanes)") }
  }

  // MARK: Growth along paths

  private func growths(
    _ run: NetworkRun, replica: Int, n: Int, _ recalls: Recalls, progress: ReplayProgress
  ) async throws -> (forward: PathGrowth, backward: PathGrowth, size: Double, sizes: [SizeExponent]) {
    let specification = run.specification
    let map = specification.maps[replica]
    let initial = StoredState(try specification.initialState(replica: replica))
    let length = run.problem.layout.count
    let seed = run.workload.seeds.lowerBound + replica
    let updated = try (0..<directions).map { try updatedState(map, from: initial, direction: $0, n: n) }
    let directions = kind == .update ? updated : try updated.indices.map { direction in
      try randomState(map, from: initial, direction: direction, seed: seed, layout: run.problem.layout)
    }
    let norm = try distance(initial, StoredState(for: map), length: length)
    let size = try size.map { $0 * norm } ?? mean(updated.map { try distance($0, initial, length: length) })
    guard size.isFinite, size > 0 else {
      throw RunError.impossible(
        "pairs would be \(size) apart, of initial parameters whose norm is \(norm); give another `size`, or start from others with `initial`")
    }
    let blocks = min(Self.blockCount, n)
    let blockStops = (0...blocks).map { n * $0 / blocks }
    let functionStops = Array(Set(blockStops + Self.tails(of: n))).sorted()
    let stops = zip(functionStops, functionStops.dropFirst()).flatMap { Array(stride(from: $0, to: $1, by: interval)) } + [n]
    let functionDistance = recalls.functionDistance
    @Sendable func growth(_ order: CompositionOrder, _ directions: [StoredState], _ size: Double) throws -> PathGrowth {
      let trajectories = PairedTrajectories(
        map: map, sequence: try specification.sequence(of: order, n), initial: initial, directions: directions, size: size, length: length,
        stops: stops, functionStops: functionStops, functionDistance: functionDistance)
      return PathGrowth(
        try trajectories.growth(progress: progress), stops: stops, functionStops: functionStops, blockStops: blockStops)
    }
    progress.expect(updates: n * (2 * (1 + directions.count) + 2 * Self.otherSizes.count))
    @Sendable func others() throws -> [SizeExponent] {
      let rounding = norm * 0x1p-25 * Double(interval).squareRoot()
      return try Self.otherSizes.map { factor in
        SizeExponent(
          size: size * factor, roundings: size * factor / rounding,
          exponent: try growth(.backward, [directions[0]], size * factor).exponent.value)
      }
    }
    guard lanes > 1 else {
      return (try growth(.forward, directions, size), try growth(.backward, directions, size), size, try others())
    }
    async let backward = growth(.backward, directions, size)
    let forward = try growth(.forward, directions, size)
    return (forward, try await backward, size, try others())
  }

  /// The initial state after one update.
  private func updatedState(_ map: NetworkUpdateMap, from initial: StoredState, direction: Int, n: Int) throws -> StoredState {
    var executor = try BatchRunExecutor(for: map)
    var state = TrainingState(values: try map.makeState())
    try initial.copy(to: &state)
    // Batches all over the path, since some schedule may end it with steps of no length.
    let batch = 1 + direction * n / directions
    try executor.apply(BatchRun(batch, batch), of: map, to: &state)
    return StoredState(state)
  }

  /// The initial state with a normal number added to each parameter.
  private func randomState(
    _ map: NetworkUpdateMap, from initial: StoredState, direction: Int, seed: Int, layout: StateLayout
  ) throws -> StoredState {
    var state = TrainingState(values: try map.makeState())
    try initial.copy(to: &state)
    let source = RandomSource(seed: UInt64(seed), purpose: .synthesis)
    for (index, tensor) in layout.tensors.enumerated() where tensor.role == .parameter {
      try state.values.forEachMutablePart(of: tensor.region) { part, floats in
        for place in 0..<part.count {
          let element = part.offset + place
          let normals = RandomSource.normals(source.words(batch: direction, example: index, element: element / 4))
          floats[place] += Float(normals[element % 4])
        }
      }
    }
    return StoredState(state)
  }
}

/// The distance of two states' first floats.
func distance(_ a: StoredState, _ b: StoredState, length: Int) throws -> Double {
  try a.read { a throws in try b.read { b throws in try a.values.distance(to: b.values, first: length) } }
}
