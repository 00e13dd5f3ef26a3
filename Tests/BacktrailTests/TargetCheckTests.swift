import Backtrail
import Datasets
import Networks
import Runs
import Testing

@Suite struct TargetCheckTests {
  private func check(_ network: Network, _ loss: any Loss, _ data: Dataset) throws {
    try CompiledNetwork(network, loss: loss, batchSize: 1).check(targetsOf: data)
  }

  private func data(values: [Float], shape: [Int] = []) throws -> Dataset {
    let count = values.count / max(1, shape.reduce(1, *))
    return try Dataset(inputs: (0..<count).map { Float($0) }, shape: [1], values: values, targetShape: shape)
  }

  /// What does not go together is said when the problem is made, not when it is trained.
  @Test func partsOfAProblemThatDoNotGoTogether() throws {
    let data = try data(values: (0..<40).map { Float($0) })
    let classes = try Dataset(inputs: (0..<40).map { Float($0) }, shape: [1], labels: (0..<40).map { $0 % 2 })
    let network = Network(input: [1]) { Dense(1) }
    let pair = Network(input: [1]) { Dense(2) }
    func problem(
      _ network: Network, _ data: Dataset, _ evaluation: NetworkProblem.Evaluation = .init(), loss: any Loss = MeanSquaredError(),
      rule: UpdateRule = .sgd(learningRate: 0.1), batchSize: Int = 4
    ) throws {
      _ = try NetworkProblem(network, loss: loss, data: data, batchSize: batchSize, optimizer: rule, evaluation: evaluation)
    }
    try problem(network, data)
    #expect(throws: NetworkError.self) { try problem(Network(input: [5]) { Dense(1) }, data) }
    #expect(throws: NetworkError.self) { try problem(Network(input: [1]) { Dense(.max) }, data) }
    #expect(throws: NetworkError.self) { try problem(network, data, .init(measures: [MeanLoss(MeanSquaredError()), Accuracy()])) }
    #expect(throws: NetworkError.self) {
      try problem(
        pair, classes, .init(measures: [MeanLoss(CrossEntropy()), CoefficientOfDetermination()]), loss: CrossEntropy())
    }
    #expect(throws: NetworkError.self) {
      try problem(pair, classes, .init(measures: [MeanLoss(MeanSquaredError())]), loss: CrossEntropy())
    }
    #expect(throws: RunError.self) { try problem(network, data, .init(batchSize: .max)) }
    #expect(throws: RunError.self) { try problem(network, data, rule: .sgd(learningRate: 0)) }
    #expect(throws: DatasetError.self) { try problem(network, data, batchSize: 0) }
    #expect(throws: DatasetError.self) { try problem(network, data, batchSize: 1000) }
    let stepped = UpdateRule(Optimizer(.sgd), learningRate: 0.1, schedule: LearningRateSchedule(.step(every: 0, factor: 0.1)))
    #expect(throws: RunError.self) { try problem(network, data, rule: stepped) }
  }

  @Test func predictionsMeetTheirTargets() throws {
    let one = Network(input: [1]) { Dense(1) }
    let three = Network(input: [1]) { Dense(3) }
    let classes = try Dataset(inputs: [0, 1, 2, 3], shape: [1], labels: [0, 1, 2, 0])
    let single = try data(values: [1, 2, 3])
    let triple = try data(values: [1, 2, 3, 4, 5, 6], shape: [3])
    try check(three, CrossEntropy(), classes)
    try check(one, MeanSquaredError(), single)
    try check(one, Huber(), data(values: [1, 2, 3], shape: [1]))
    try check(three, MeanSquaredError(), triple)
    try check(one, BinaryCrossEntropy(), data(values: [0, 1, 0.5]))
    let wrong: [(Network, any Loss, Dataset, says: String)] = [
      (one, CrossEntropy(), classes, "3 classes"), (three, MeanSquaredError(), single, "[3]"),
      (one, MeanSquaredError(), triple, "[3]"), (three, MeanSquaredError(), classes, "classes"),
      (three, CrossEntropy(), triple, "values"), (one, BinaryCrossEntropy(), single, "from 0.0 to 1.0"),
    ]
    for (network, loss, data, words) in wrong {
      let error = #expect(throws: NetworkError.self) { try check(network, loss, data) }
      #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
  }

  /// Numbers that are in range only before they are rounded to float32 are refused, like those out of range.
  @Test(arguments: [
    "", "mse:1", "huber:0", "huber:-1", "huber:inf", "huber:", "huber:x", "huber:1e-50", "huber:1e300", "cross-entropy:1",
    "cross-entropy:-0.1", "cross-entropy:nan", "cross-entropy:0.99999999999", "l1",
  ])
  func unreadableLosses(specification: String) throws {
    #expect(throws: RunError.self) { try LossSpecification.loss(specification) }
  }
}
