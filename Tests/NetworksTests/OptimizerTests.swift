import Networks
import Tensors
import Testing

/// The rules themselves are compared with PyTorch's in ParityTests.
@Suite struct OptimizerTests {
  @Test func specifications() throws {
    let read: [(String, String?, Optimizer)] = [
      ("sgd", nil, Optimizer(.sgd)), ("sgd", "0.1", Optimizer(.sgd, weightDecay: .l2(0.1))),
      ("momentum", nil, Optimizer(.momentum(0.9))), ("nesterov:0.5", nil, Optimizer(.nesterov(0.5))),
      ("momentum:0", "decoupled:0.2", Optimizer(.momentum(0), weightDecay: .decoupled(0.2))),
      ("adam", nil, Optimizer(.adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8))),
      ("adam:0.8", "1e-4", Optimizer(.adam(beta1: 0.8, beta2: 0.999, epsilon: 1e-8), weightDecay: .l2(1e-4))),
      ("adamw", nil, Optimizer(.adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8), weightDecay: .decoupled(0.01))),
      ("adamw:0.7,0.8,1e-3", "0", Optimizer(.adam(beta1: 0.7, beta2: 0.8, epsilon: 1e-3), weightDecay: .decoupled(0))),
      ("rmsprop:0.9", nil, Optimizer(.rmsprop(alpha: 0.9, epsilon: 1e-8))),
    ]
    for (text, decay, expected) in read { #expect(try Optimizer(text, weightDecay: decay) == expected, "\(text)") }
  }

  @Test(arguments: [
    "", "SGD", "sgd:0.1", "momentum:", "momentum:1", "momentum:-0.1", "momentum:0.9,0.9", "adam:0.9,2", "adam:,",
    "adam:0.9,0.99,0", "rmsprop:x", "nesterov:nan", "lion",
  ])
  func unknownOptimizers(specification: String) {
    #expect(throws: NetworkError.self) { try Optimizer(specification) }
  }

  @Test(arguments: ["", "-1", "x", "nan", "l2:0.1", "decoupled:", "inf"])
  func unknownWeightDecays(specification: String) {
    #expect(throws: NetworkError.self) { try Optimizer("sgd", weightDecay: specification) }
  }

  @Test func scheduleShapes() throws {
    func fractions(_ text: String, warmUp: Int = 0) throws -> [Double] {
      let schedule = try LearningRateSchedule(text, warmUp: warmUp, horizon: 8, index: .position)
      return (0..<10).map { schedule.fraction(batch: 99, position: $0) }
    }
    #expect(try fractions("constant") == Array(repeating: 1, count: 10))
    #expect(try fractions("constant", warmUp: 4).prefix(5) == [0.25, 0.5, 0.75, 1, 1])
    #expect(try fractions("step:3,0.5") == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125])
    #expect(try fractions("step:2", warmUp: 1).prefix(4) == [1, 1, 1, 0.1])
    let cosine = try fractions("cosine")
    #expect(cosine[0] == 1 && abs(cosine[4] - 0.5) < 1e-15 && cosine[8] < 1e-15 && cosine[9] == cosine[8])
    #expect(cosine.indices.dropFirst().allSatisfy { cosine[$0] <= cosine[$0 - 1] })
    let floored = try fractions("cosine:0.1", warmUp: 2)
    #expect(floored[..<3] == [0.5, 1, 1] && abs(floored[8] - 0.1) < 1e-15)
  }

  @Test func aScheduleByBatchDoesNotSeeThePosition() throws {
    let byBatch = try LearningRateSchedule("cosine", warmUp: 0, horizon: 100, index: .batch)
    let byPosition = try LearningRateSchedule("cosine", warmUp: 0, horizon: 100, index: .position)
    for batch in [1, 7, 100] {
      #expect(byBatch.fraction(batch: batch, position: 3) == byBatch.fraction(batch: batch, position: 60))
      #expect(byBatch.fraction(batch: batch, position: 3) == byPosition.fraction(batch: 5, position: batch - 1))
    }
  }

  @Test(arguments: ["", "constant:1", "cosine:", "cosine:2", "cosine:0,1", "step", "step:0", "step:3,2", "step:3,0.1,1", "linear"])
  func unknownSchedules(specification: String) {
    #expect(throws: NetworkError.self) {
      try LearningRateSchedule(specification, warmUp: 0, horizon: 10, index: .position)
    }
  }

  /// Decay applies to every parameter and never to running statistics.
  @Test(arguments: ["0.5", "decoupled:0.5"])
  func weightDecayWithoutAGradient(decay: String) throws {
    for rule in ["sgd", "momentum"] {
      let network = try CompiledNetwork(
        Network(input: [2]) {
          BatchNormalization()
          Dense(2)
        }, loss: CrossEntropy(), batchSize: 2, optimizer: Optimizer(rule, weightDecay: decay))
      var state = try StateBuffer(count: network.stateCount)
      for tensor in network.layout.tensors { state.mutableVector.part(tensor.region).fill(1) }
      var workspace = try network.makeWorkspace()
      // With equal weights and equally many examples of both classes all gradients are zero: only decay acts.
      workspace.targets.classes = [0, 1]
      try network.update(
        &state, learningRate: 0.1, position: 0, context: PassContext(isTraining: true), workspace: &workspace)
      for tensor in network.layout.tensors {
        let values = try network.layout.values(of: tensor, in: state)
        let expected: Float = tensor.name.hasSuffix("mean") || tensor.name.hasSuffix("var") ? 0.9 : 0.95
        #expect(values.allSatisfy { abs($0 - expected) < 1e-6 }, "\(rule), \(tensor.name): \(values)")
      }
    }
  }
}
