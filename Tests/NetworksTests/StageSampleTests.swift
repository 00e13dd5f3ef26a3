import Networks
import Tensors
import Testing

/// Times of a large network's stages are measured on a sample of it.
@Suite struct StageSampleTests {
  private func compiled(_ model: String, batchSize: Int = 4, shape: [Int] = [12, 12, 3]) throws -> CompiledNetwork {
    let specification = try ModelSpecification(model)
    let network = try specification.network(inputShape: specification.context.map { [$0] } ?? shape, outputs: 10)
    return try CompiledNetwork(network, loss: CrossEntropy(), batchSize: batchSize)
  }

  /// The stages that are timed do not grow with the depth, and neither does the state they are timed on.
  @Test(arguments: [
    ("gpt:layers=2,heads=2,width=8,context=5", "gpt:layers=40,heads=2,width=8,context=5"), ("mlp:16,16,16", "mlp:16,16,16,16,16,16,16,16"),
    ("gpt2:context=8", "gpt2:context=8"),
  ])
  func depthAddsNothing(shallow: String, deep: String) throws {
    let (small, large) = (try compiled(shallow, batchSize: 1), try compiled(deep, batchSize: 1))
    let (sample, other) = (try StageSample(of: small), try StageSample(of: large))
    #expect(sample.stageCount == other.stageCount && sample.stageCount < large.graph.stages.count)
    #expect(sample.multiplyAdds == other.multiplyAdds && sample.multiplyAdds < large.multiplyAdds)
    #expect(sample.network(context: nil).layers.count == other.network(context: nil).layers.count)
  }

  /// Groups of layers are left out where they repeat, but not where they look alike and work on other shapes.
  @Test func otherShapesAreNoRepetition() throws {
    for (model, omitted) in [("mlp:16,32,16,32", 0), ("mlp:32,16,32,16,32", 2), ("mlp:9,9", 0), ("mlp:9,9,9", 1)] {
      let network = try compiled(model)
      #expect(try StageSample(of: network).stageCount == network.graph.stages.count - omitted, "\(model)")
    }
  }

  @Test func everyStageGetsTheTimesOfOneThatIsLikeIt() throws {
    let network = try compiled("gpt:layers=6,heads=2,width=8,context=5")
    let sample = try StageSample(of: network)
    let small = try CompiledNetwork(sample.network(context: nil), loss: CrossEntropy(), batchSize: 4)
    #expect(small.graph.stages.count == sample.stageCount)
    let measured = small.graph.stages.enumerated().map { place, stage in timed(stage.cost, Double(place + 1), Double(100 * (place + 1))) }
    let costs = sample.costs(measured)
    #expect(costs.count == network.graph.stages.count)
    for (stage, cost) in zip(network.graph.stages, costs) {
      let like = try #require(measured.first { $0.forwardSeconds == cost.forwardSeconds })
      #expect(like.backwardSeconds == cost.backwardSeconds)
      #expect(
        like.inputCount == stage.cost.inputCount && like.outputCount == stage.cost.outputCount
          && like.forwardMultiplyAdds == stage.cost.forwardMultiplyAdds)
      #expect(cost.forwardMultiplyAdds == stage.cost.forwardMultiplyAdds && cost.savedCount == stage.cost.savedCount)
    }
    // The stages of all layers have the times of the first one's.
    let seconds = costs.map(\.forwardSeconds)
    let length = (costs.count - 3) / 6
    for layer in 1..<6 { #expect(seconds[1..<1 + length] == seconds[1 + layer * length..<1 + (layer + 1) * length]) }
  }

  /// Times with a part that is always the same and one that grows with multiply-adds are found from two small sizes.
  @Test(arguments: ["gpt:layers=3,heads=2,width=8,context=64", "lenet", "resnet18:4"])
  func timesAreExtrapolated(model: String) throws {
    func time(_ cost: StageCost) -> StageCost {
      func seconds(_ work: Double) -> Double { 3e-3 + 2e-9 * work }
      func work(_ multiplyAdds: Double) -> Double { multiplyAdds > 0 ? multiplyAdds : Double(cost.outputCount) }
      return timed(cost, seconds(work(cost.forwardMultiplyAdds)), seconds(work(cost.backwardMultiplyAdds)))
    }
    let network = try compiled(model, batchSize: 32, shape: [28, 28, 1])
    let sample = try StageSample(of: network)
    func measured(_ rows: Int, context: Int? = nil) throws -> [StageCost] {
      try CompiledNetwork(sample.network(context: context), loss: CrossEntropy(), batchSize: rows).graph.stages.map { time($0.cost) }
    }
    let shorter = sample.context == nil ? nil : 16
    for costs in [
      sample.costs(try measured(32)), sample.costs(try measured(4), beside: try measured(1)),
      sample.costs(try measured(2), beside: try measured(1, context: shorter)),
    ] {
      for (cost, expected) in zip(costs, network.graph.stages.map { time($0.cost) }) {
        #expect(abs(cost.forwardSeconds / expected.forwardSeconds - 1) < 1e-9)
        #expect(abs(cost.backwardSeconds / expected.backwardSeconds - 1) < 1e-9)
      }
    }
    // From one size alone, times grow as the work does.
    let alone = sample.costs(try measured(8))
    for (cost, whole) in zip(alone, network.graph.stages.map(\.cost)) where whole.forwardMultiplyAdds > 0 {
      let small = 3e-3 + 2e-9 * whole.forwardMultiplyAdds / 4
      #expect(abs(cost.forwardSeconds / (4 * small) - 1) < 1e-9)
    }
  }

  /// A head that is tied to an embedding can have fewer tokens; other heads keep theirs.
  @Test func fewerTokens() throws {
    let sample = try StageSample(of: try compiled("gpt2:context=8", batchSize: 1))
    #expect(sample.vocabulary == 10 && sample.context == 8)
    let small = try CompiledNetwork(sample.network(context: 4, vocabulary: 3), loss: CrossEntropy(), batchSize: 1)
    let names = small.layout.tensors.map(\.name)
    #expect(small.outputShape == [4, 3] && small.layout.tensors[0].shape == [3, 768] && Set(names).count == names.count)
    let untied = try StageSample(of: try compiled("gpt:layers=2,heads=2,width=8,context=8", batchSize: 1))
    #expect(untied.vocabulary == nil && untied.context == 8)
    #expect(try StageSample(of: try compiled("lenet", shape: [28, 28, 1])).context == nil)
  }

  /// Multiply-adds of products written out by hand.
  @Test func multiplyAddsAreThoseOfTheProducts() throws {
    let dense = try compiled("mlp:5,7", batchSize: 3, shape: [11, 1, 1])
    let forward = 11 * 5 + 5 * 7 + 7 * 10
    // Nobody needs the gradient by the input.
    #expect(dense.multiplyAdds == Double(3 * (forward + 2 * forward - 11 * 5)))
    #expect(dense.multiplyAddsOfExample == Double(forward))
    let (context, width) = (6, 8)
    let gpt = try compiled("gpt:layers=1,heads=2,width=8,context=6", batchSize: 2)
    let layer = context * width * (3 * width + width + 4 * width + 4 * width) + context * context * width
    #expect(gpt.multiplyAddsOfExample == Double(layer + context * width * 10))
    let image = try CompiledNetwork(
      Network(input: [6, 5, 2]) { Convolution(4, size: 3, padding: 1); Dense(10) }, loss: CrossEntropy(), batchSize: 1)
    #expect(image.multiplyAddsOfExample == Double(6 * 5 * 4 * 9 * 2 + 6 * 5 * 4 * 10))
  }

  private func timed(_ cost: StageCost, _ forward: Double, _ backward: Double) -> StageCost {
    var timed = cost
    (timed.forwardSeconds, timed.backwardSeconds) = (forward, backward)
    return timed
  }
}
