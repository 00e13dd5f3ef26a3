import Backtrail
import Datasets
import Networks
import Replay
import Runs
import TestSupport
import Tensors
import Testing

/// An evaluation takes no more memory than an update, or little; in a budget no more. Its values are the same bits in any memory.
@Suite struct EvaluationMemoryTests {
  private static let rows = 90
  /// The most that evaluations take if updates take less.
  private static let roomyBytes = 1 << 19
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func images() throws -> Dataset {
    var random = SplitMix(state: 3)
    return try Dataset(
      inputs: (0..<5 * Self.rows * 432).map { _ in Float.random(in: -1...1, using: &random) }, shape: [12, 12, 3],
      labels: (0..<5 * Self.rows).map { $0 % 10 })
  }

  private func table() throws -> Dataset {
    var random = SplitMix(state: 4)
    return try Dataset(
      inputs: (0..<5 * Self.rows * 40).map { _ in Float.random(in: -1...1, using: &random) }, shape: [40],
      values: (0..<5 * Self.rows * 3).map { _ in Float.random(in: -1...1, using: &random) }, targetShape: [3])
  }

  private func values(_ problem: NetworkProblem) throws -> [Double] {
    var values = try problem.map(seed: 2).makeState()
    try problem.writeInitialState(seed: 2, to: &values)
    var workspace = try problem.map(seed: 2).makeWorkspace()
    return try problem.measure(TrainingState(values: values), seed: 2, workspace: &workspace)
  }

  /// The values of examples that go through the network one by one, with an end of a batch after every `batch`-th.
  private func oneByOne(_ problem: NetworkProblem, _ measures: [any Measure], examples: Int?, batch: Int) throws -> [Double] {
    var state = try problem.map(seed: 2).makeState()
    try problem.writeInitialState(seed: 2, to: &state)
    let trained = problem.network
    let network = try CompiledNetwork(trained.network, loss: trained.loss, batchSize: 1, isTrained: false)
    var workspace = try network.makeWorkspace()
    var measurement = Measurement(measures, outputs: network.outputCount)
    let indices = try problem.dataset.test.evaluationIndices(atMost: examples)
    for (place, index) in indices.enumerated() {
      try problem.dataset.test.gather([index], into: workspace.inputs(rows: 1), targets: &workspace.targets)
      measurement.add(try network.outputs(state, rows: 1, workspace: &workspace), workspace.targets)
      if (place + 1).isMultiple(of: batch) { measurement.endBatch() }
    }
    return measurement.values
  }

  private func check(_ measures: [any Measure], _ problem: (_ batchSize: Int, _ evaluation: NetworkProblem.Evaluation) throws -> NetworkProblem) throws {
    for (examples, batch) in [(nil, 64), (nil, 7), (4, 64), (1, 1)] as [(Int?, Int)] {
      let evaluation = NetworkProblem.Evaluation(measures: measures, exampleCount: examples, batchSize: batch)
      // An update of so many examples has room for the evaluation of a whole batch.
      let large = try problem(128, evaluation)
      let expected = try values(large)
      #expect(expected.allSatisfy { $0.isFinite })
      #expect(try expected == oneByOne(large, measures, examples: examples, batch: batch))
      for batchSize in [1, 2, 8] {
        let small = try problem(batchSize, evaluation)
        let levels = try small.memoryLevels(measuring: nil, in: folder.path)
        let updates = small.network.arenaCount * MemoryLayout<Float>.stride
        #expect(small.workspaceBytes >= updates && small.workspaceBytes <= max(updates, Self.roomyBytes))
        #expect(levels.first?.memory == small.laneMemory && levels.dropFirst().allSatisfy { $0.memory.workspaceBytes <= updates })
        #expect(levels.contains { $0.repeatedPasses == 0 && $0.microBatches == 1 && $0.memory.workspaceBytes == updates })
        for (place, level) in levels.enumerated() {
          let problem = try level.problem()
          #expect(problem.laneMemory == level.memory)
          if batchSize > 1, place > 0 { #expect(level.memory.workspaceBytes == problem.network.arenaCount * MemoryLayout<Float>.stride) }
          #expect(try values(problem) == expected, "\(batchSize), \(level.memory.workspaceBytes) bytes")
        }
      }
    }
  }

  @Test(arguments: ["lenet", "resnet18:4", "mlp:40,30"]) func classes(model: String) throws {
    let data = try images()
    let network = try ModelSpecification(model).network(inputShape: [12, 12, 3], outputs: 10)
    try check(CrossEntropy().defaultMeasures) {
      try NetworkProblem(network, loss: CrossEntropy(), data: data, batchSize: $0, optimizer: .sgd(learningRate: 0.1), evaluation: $1)
    }
  }

  @Test func numbers() throws {
    let data = try table()
    let network = Network(input: [40]) {
      Dense(30)
      ReLU()
      Dense(3)
    }
    try check([MeanLoss(Huber()), MeanAbsoluteError(), RootMeanSquaredError(), CoefficientOfDetermination()]) {
      try NetworkProblem(
        network, loss: MeanSquaredError(), data: data, batchSize: $0, optimizer: .sgd(learningRate: 0.1), evaluation: $1)
    }
  }
}
