import Backtrail
import Datasets
import Networks
import Runs
import TestSupport
import Tensors
import Testing

/// Promise "same bits" for everything that a budget can choose: each memory level of a problem makes the same updates, in the memory that it
/// says.
@Suite struct MemoryLevelTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func images(_ count: Int) throws -> Dataset {
    var random = SplitMix(state: 3)
    return try Dataset(
      inputs: (0..<count * 192).map { _ in Float.random(in: -1...1, using: &random) }, shape: [8, 8, 3],
      labels: (0..<count).map { $0 % 10 })
  }

  private func check(_ problem: NetworkProblem, parts: Set<Int>) throws {
    var expected: [Digest] = []
    var losses: [Double] = []
    var seen: Set<Int> = []
    for level in try problem.memoryLevels(measuring: nil, in: folder.path) {
      let problem = try level.problem()
      #expect(problem.laneMemory == level.memory && problem.network.microBatchCount == level.microBatches)
      seen.insert(level.microBatches)
      let map = problem.map(seed: 2)
      var state = try map.makeState()
      try problem.writeInitialState(seed: 2, to: &state)
      var workspace = try map.makeWorkspace()
      var digests: [Digest] = []
      for update in 1...2 {
        if update == 2 {
          losses.append(try #require(try map.applyMeasuringLoss(batch: update, position: update - 1, to: &state, workspace: &workspace)))
        } else {
          try map.apply(batch: update, position: update - 1, to: &state, workspace: &workspace)
        }
        digests.append(try Digest(of: state, updateCount: update))
      }
      if expected.isEmpty { expected = digests }
      #expect(digests == expected, "\(level.memory)")
    }
    #expect(Set(losses).count == 1 && losses[0].isFinite, "\(losses)")
    #expect(seen.isSuperset(of: parts), "\(seen)")
  }

  /// Augmentation and dropout depend on a row's place in the batch, not in its part.
  @Test(arguments: ["momentum", "adamw"]) func changedImages(optimizer: String) throws {
    let network = Network(input: [8, 8, 3]) {
      Dense(24)
      ReLU()
      Dropout(0.3)
      Dense(10)
    }
    try check(
      NetworkProblem(
        network, loss: CrossEntropy(), data: images(700), batchSize: 300, optimizer: UpdateRule(Optimizer(optimizer), learningRate: 0.1),
        augmentation: Augmentation("crop:1,flip")), parts: [3])
  }

  @Test(arguments: ActivationPrecision.allCases) func convolutionsWithoutStatistics(precision: ActivationPrecision) throws {
    let network = Network(input: [8, 8, 3]) {
      Convolution(6, size: 5, padding: 2)
      ReLU()
      MaxPooling(2)
      Convolution(8, size: 3)
      GELU()
      GlobalAveragePooling()
      Dense(10)
    }
    try check(
      NetworkProblem(
        network, loss: CrossEntropy(), data: images(700), batchSize: 512, optimizer: .sgd(learningRate: 0.1),
        activationPrecision: precision), parts: [4])
  }

  /// There is one level for less memory only, and a reason for it.
  @Test(arguments: ActivationPrecision.allCases) func statisticsOverTheBatch(precision: ActivationPrecision) throws {
    let network = Network(input: [8, 8, 3]) {
      Convolution(4, size: 3)
      BatchNormalization()
      ReLU()
      Dense(10)
    }
    let problem = try NetworkProblem(
      network, loss: CrossEntropy(), data: images(700), batchSize: 512, optimizer: .sgd(learningRate: 0.1),
      activationPrecision: precision)
    try check(problem, parts: [1])
    #expect(problem.wholeBatchReason?.contains("batch normalization") == true)
    #expect(try problem.memoryLevels(measuring: nil, in: folder.path).allSatisfy { $0.microBatches == 1 })
  }
}
