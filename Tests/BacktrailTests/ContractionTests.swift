import Backtrail
import Foundation
import TestSupport
import Testing

@Suite struct ContractionTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Two floats that each update multiplies by factors of their own, moves by the batch's number, and turns by a quarter where asked.
  private struct Stretch: UpdateMap {
    let stateCount = 2
    var factors: (Float, Float)
    var turns = false

    func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
      let shift = Float(batch % 5) / 5
      let moved = (state[0] * factors.0 + shift, state[1] * factors.1 - shift)
      (state[0], state[1]) = turns ? (moved.1, -moved.0) : moved
    }
  }

  private func growth(_ map: Stretch, steps: Int = 200, interval: Int = 10) throws -> PairedTrajectories<Stretch>.Growth {
    func state(_ x: Float, _ y: Float) throws -> StoredState {
      var state = TrainingState(values: try StateBuffer(count: 2))
      (state.values[0], state.values[1]) = (x, y)
      return StoredState(state)
    }
    let pairs = PairedTrajectories(
      map: map, sequence: CompositionOrder.backward.sequence(steps), initial: try state(1, 2),
      directions: [try state(2, 2), try state(1, 3), try state(4, -2)], size: 0.01, length: 2,
      stops: Array(stride(from: 0, through: steps, by: interval)), functionStops: [0, steps / 2, steps]
    ) { a, b, _ in abs(Double(a[1]) - Double(b[1])) + 1e-6 }
    return try pairs.growth(progress: ReplayProgress())
  }

  /// Along an axis a distance grows by that axis's factor; in between, by the larger one in the long run.
  @Test(arguments: [(Float(0.9), Float(0.8)), (0.99, 0.5), (1.02, 0.9)]) func exponentsOfAffineMapsAreTheirFactors(larger: Float, smaller: Float) throws {
    let growth = try growth(Stretch(factors: (larger, smaller)))
    func exponent(_ direction: Int, from stop: Int = 0) -> Double {
      let logarithms = growth.logarithms[direction].dropFirst(stop)
      return logarithms.reduce(0, +) / Double(10 * logarithms.count)
    }
    #expect(abs(exponent(0) - log(Double(larger))) < 5e-4, "\(exponent(0))")
    #expect(abs(exponent(2, from: 12) - log(Double(larger))) < 5e-4, "\(exponent(2, from: 12))")
    // Along the smaller axis nothing of the larger is there, until rounding brings it in.
    #expect(abs(growth.logarithms[1][0] / 10 - log(Double(smaller))) < 1e-3)
    // The second float shows all of the second direction, and nothing of the first.
    #expect(abs(growth.visibilities[1][0]) < 1e-3 && growth.visibilities[0].allSatisfy { $0 < -6 })
    #expect(growth.visibilities.allSatisfy { $0.count == 3 })
  }

  /// A turning map multiplies by both factors in turn: the exponent is the mean of their logarithms.
  @Test func exponentsOfTurningMapsAreTheMean() throws {
    let growth = try growth(Stretch(factors: (1.3, 0.7), turns: true))
    for logarithms in growth.logarithms {
      let exponent = logarithms.reduce(0, +) / 200
      #expect(abs(exponent - log(1.3 * 0.7) / 2) < 2e-3, "\(exponent)")
    }
  }

  private func trained(_ settings: RunSettings, _ name: String) async throws -> NetworkRun {
    let run = try NetworkRun.create(at: folder(name), RunSpecification(RunConfiguration(settings)))
    _ = try await run.finish()
    return run
  }

  /// A linear classifier with a penalty λ: its loss is convex, so that each update shrinks distances by 1 − ηλ at least, and it shrinks
  /// those along flat directions by just that.
  @Test func convexRunsContractByThePenalty() async throws {
    var settings = RunSettings()
    settings.model = "linear"
    settings.orders = ["forward", "backward"]
    settings.steps = 300
    settings.evaluate = "at:300"
    settings.batchSize = 16
    settings.learningRate = 0.05
    settings.weightDecay = "0.2"
    let run = try await trained(settings, "linear")
    let before = try contents("linear")
    var study = ContractionStudy()
    study.points = 3
    let floor = log(1 - 0.05 * 0.2)
    for kind in PerturbationKind.allCases {
      study.kind = kind
      let result = try await study.measure(run)
      for path in [result.forward, result.backward] {
        #expect(path.exponent.region == .contracts && path.lastHalf.region == .contracts)
        // Float32 rounds what is compared, by some 10⁻⁵ of it an update.
        #expect(path.blocks.allSatisfy { $0.exponent < floor + 1e-4 }, "\(path.blocks)")
        let last = try #require(path.blocks.last)
        #expect(last.exponent > 1.4 * floor && last.last == 300, "\(last)")
        if kind == .random { #expect(last.exponent > 1.1 * floor, "\(last)") }
        #expect(path.function.region == .contracts)
      }
      // An affine map has one exponent at all distances, and this one nearly is.
      for size in result.sizes { #expect(abs(size.exponent / result.backward.exponent.value - 1) < 0.15, "\(size)") }
      try await check(result, of: run)
    }
    #expect(try contents("linear") == before)
  }

  /// Where steps are too long for the curvature, distances grow until something else than curvature stops them.
  @Test func longStepsExpand() async throws {
    var settings = RunSettings()
    settings.model = "mlp:16"
    settings.orders = ["forward"]
    settings.steps = 60
    settings.evaluate = "at:60"
    settings.batchSize = 4
    settings.learningRate = 0.7
    let run = try await trained(settings, "long")
    var study = ContractionStudy()
    study.points = 0
    let result = try await study.measure(run)
    #expect(result.forward.exponent.region == .expands && result.backward.exponent.value > 0, "\(result.forward.exponent)")
    #expect(result.tails.tailByExponent == nil && result.changes.isEmpty)
  }

  /// Distances are those of the exported tensors, and tails fall as the exponents say, within the factor by which heads differ.
  private func check(_ result: Contraction, of run: NetworkRun) async throws {
    func values(_ order: CompositionOrder, _ n: Int) async throws -> [Float] {
      try await run.iterate(order, n).tensors.flatMap { if case .floats(let values) = $0.numbers { values } else { [Float]() } }
    }
    func distance(_ a: [Float], _ b: [Float]) -> Double {
      zip(a, b).reduce(0) { $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1)) }.squareRoot()
    }
    let backward = try await values(.backward, 300)
    let whole = distance(try await values(.forward, 300), backward)
    #expect(abs(result.tails.forwardDistance / whole - 1) < 1e-9)
    #expect(result.tails.points.map(\.tail) == [2, 4, 9, 18, 37, 75, 150])
    for point in result.tails.points {
      let measured = distance(try await values(.tail(point.tail), 300), backward)
      #expect(abs(point.distance / measured - 1) < 1e-9)
      #expect((0.5...2).contains(point.distance / point.predictedDistance), "\(point)")
      // How much predictions show of a difference depends on its direction, and tails differ by updates.
      if result.kind == .update { #expect((0.3...2).contains(point.functionDistance / point.predictedFunctionDistance), "\(point)") }
    }
    let last = try #require(result.changes.last)
    #expect(last.order == "backward" && last.n == 300)
    #expect(abs(last.distance / distance(backward, try await values(.backward, 299)) - 1) < 1e-9)
    #expect(abs(last.travelled / distance(backward, try await values(.backward, 0)) - 1) < 1e-9)
    let forward = try #require(result.changes.last { $0.order == "forward" })
    #expect(last.distance < 0.2 * forward.distance && last.functionDistance < 0.2 * forward.functionDistance)
  }

  private func contents(_ name: String) throws -> [String: Data] {
    let files = try FileManager.default.subpathsOfDirectory(atPath: folder(name)).filter { !$0.hasSuffix("-shm") && !$0.hasSuffix("-wal") }
    return Dictionary(uniqueKeysWithValues: files.map { ($0, FileManager.default.contents(atPath: folder(name) + "/" + $0) ?? Data()) })
  }

  @Test func numbersOutOfRangeAreRefused() async throws {
    var settings = RunSettings()
    settings.model = "mlp:4"
    settings.orders = ["forward"]
    settings.steps = 5
    settings.evaluate = "at:5"
    let run = try await trained(settings, "small")
    let changes: [(String, (inout ContractionStudy) -> Void)] = [
      ("iterate", { $0.iterate = 1 }), ("directions", { $0.directions = 0 }), ("size", { $0.size = .nan }), ("size", { $0.size = 2 }),
      ("interval", { $0.interval = 0 }), ("points", { $0.points = -1 }), ("examples", { $0.examples = 0 }), ("lanes", { $0.lanes = 0 }),
      ("seed", { $0.seed = 9 }),
    ]
    for (name, change) in changes {
      var study = ContractionStudy()
      change(&study)
      await #expect("\(name)") { _ = try await study.measure(run) } throws: { "\($0)".contains("`\(name)`") }
    }
    // As few updates as there can be, each a block of its own.
    var study = ContractionStudy()
    (study.iterate, study.directions, study.examples) = (2, 1, nil)
    let least = try await study.measure(run)
    #expect(least.backward.blocks.count == 2 && least.tails.points.map(\.tail) == [1])
  }
}
