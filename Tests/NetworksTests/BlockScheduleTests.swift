import Networks
import Tensors
import TestSupport
import Testing

/// Schedules for networks with shortcuts, against a search through all schedules there are.
@Suite struct BlockScheduleTests {
  /// A stage of random size that reads the activation before it.
  private func layer(_ index: Int, sizes: [Int], _ random: inout SplitMix) -> StageGraph.Stage {
    StageGraph.Stage(
      StageCost(
        forwardSeconds: Double(Int.random(in: 1...9, using: &random)), backwardSeconds: Double(Int.random(in: 1...9, using: &random)),
        inputCount: sizes[index], outputCount: sizes[index + 1], savedCount: Int.random(in: 0...4, using: &random),
        forwardScratchCount: Int.random(in: 0...3, using: &random), backwardScratchCount: Int.random(in: 0...3, using: &random)),
      inputs: [index], readsInput: Bool.random(using: &random), readsOutput: Bool.random(using: &random))
  }

  private func sum(_ a: Int, _ b: Int, size: Int, isRectified: Bool = false) -> StageGraph.Stage {
    StageGraph.Stage(
      StageCost(
        forwardSeconds: 1, backwardSeconds: 1, inputCount: size, outputCount: size, savedCount: 0, forwardScratchCount: 0,
        backwardScratchCount: 0),
      inputs: [a, b], isSum: true, readsInput: false, readsOutput: isRectified)
  }

  /// A stage, a block of one or two layers with a shortcut, and a stage; or the block alone.
  private func graph(_ number: Int, _ random: inout SplitMix) -> StageGraph {
    let length = 1 + number % 3
    let begins = number % 2
    var sizes = (0...(begins + length)).map { _ in Int.random(in: 1...9, using: &random) }
    sizes[begins + length] = sizes[begins]
    var stages = (0..<(begins + length)).map { layer($0, sizes: sizes, &random) }
    stages.append(sum(begins + length, begins, size: sizes[begins], isRectified: number % 5 == 0))
    if begins == 1, length < 3 {
      sizes += [sizes[begins], Int.random(in: 1...9, using: &random)]
      stages.append(layer(stages.count, sizes: sizes, &random))
    }
    return StageGraph(stages)
  }

  /// What is there at a moment of an update: activations and saved memory as bits, and how many stages have yet to go back,
  /// one more before the loss.
  private struct Moment: Hashable {
    var activations = 1
    var saved = 0
    var toGoBack: Int
  }

  /// The gradients by activations that are in memory before the stage `next` goes back, as the sizes of distinct buffers, and those
  /// that its backward pass adds.
  private func gradients(_ graph: StageGraph, before next: Int) -> (there: Int, added: Int) {
    var buffers: [Int: Int] = [graph.stages.count: 0]
    var sizes = [graph.stages[graph.stages.count - 1].cost.outputCount]
    for index in stride(from: graph.stages.count - 1, through: next, by: -1) {
      let stage = graph.stages[index]
      let there = Set(buffers.values).reduce(0) { $0 + sizes[$1] }
      let own = buffers.removeValue(forKey: index + 1) ?? 0
      var added = 0
      for input in stage.inputs where input > 0 {
        if stage.isSum, buffers[input] == nil {
          buffers[input] = own
        } else {
          sizes.append(stage.cost.inputCount)
          buffers[input] = sizes.count - 1
          added += stage.cost.inputCount
        }
      }
      if index == next { return (there, added) }
    }
    return (Set(buffers.values).reduce(0) { $0 + sizes[$1] }, 0)
  }

  /// The least time of any schedule in `memory` floats besides the input; nil where there is none.
  private func leastSeconds(_ graph: StageGraph, memory: Int) -> Double? {
    let count = graph.stages.count
    let gradients = (0..<count).map { self.gradients(graph, before: $0) }
    func size(_ moment: Moment) -> Int {
      var size = 0
      for index in 0..<count {
        if moment.activations >> (index + 1) & 1 == 1 { size += graph.stages[index].cost.outputCount }
        if moment.saved >> index & 1 == 1 { size += graph.stages[index].cost.savedCount }
      }
      return size
    }
    var best: [Moment: Double] = [Moment(toGoBack: count + 1): 0]
    var open = Array(best.keys)
    // Times are small whole numbers, so the moments of each time are looked at in turn.
    for time in 0...400 {
      var index = 0
      while index < open.count {
        let moment = open[index]
        index += 1
        guard best[moment] == Double(time) else { continue }
        if moment.toGoBack == 0 { return Double(time) }
        func reach(_ next: Moment, in seconds: Double) {
          guard Double(time) + seconds < best[next] ?? .infinity else { return }
          best[next] = Double(time) + seconds
          open.append(next)
        }
        let gradient = moment.toGoBack > count ? (there: 0, added: 0) : gradients[moment.toGoBack - 1]
        for bit in 0..<count {
          var less = moment
          less.activations &= ~(1 << (bit + 1))
          reach(less, in: 0)
          less = moment
          less.saved &= ~(1 << bit)
          reach(less, in: 0)
          let stage = graph.stages[bit]
          guard stage.inputs.allSatisfy({ moment.activations >> $0 & 1 == 1 }) else { continue }
          var more = moment
          more.activations |= 1 << (bit + 1)
          more.saved |= 1 << bit
          guard size(more) + stage.cost.forwardScratchCount + gradient.there <= memory else { continue }
          reach(more, in: stage.cost.forwardSeconds)
        }
        var next = moment
        next.toGoBack -= 1
        if moment.toGoBack > count {
          if moment.activations >> count & 1 == 1, size(moment) + graph.stages[count - 1].cost.outputCount <= memory { reach(next, in: 0) }
          continue
        }
        let stage = graph.stages[next.toGoBack]
        if stage.readsInput, !stage.inputs.allSatisfy({ moment.activations >> $0 & 1 == 1 }) { continue }
        if stage.readsOutput, moment.activations >> (next.toGoBack + 1) & 1 == 0 { continue }
        if stage.cost.savedCount > 0, moment.saved >> next.toGoBack & 1 == 0 { continue }
        guard size(moment) + gradient.there + gradient.added + stage.cost.backwardScratchCount <= memory else { continue }
        reach(next, in: stage.cost.backwardSeconds)
      }
    }
    return nil
  }

  /// Schedules stay within their memory and nearly always take the least time of all there are, among them those that drop a block's
  /// input and make it again, which the planner does not look at. A plan counts the gradient of the last output from the start, so
  /// it is given that much more memory.
  @Test func schedulesOfBlocksAreNearTheLeastTime() throws {
    var random = SplitMix(state: 4)
    var (cases, planned, equal, worst) = (0, 0, 0, 1.0)
    for number in 0..<120 {
      let graph = graph(number, &random)
      let whole = ActivationSchedule.keepingAll(stageCount: graph.stages.count)
      let most = whole.floatsInUse(graph)
      let costs = graph.stages.map(\.cost)
      for memory in stride(from: most / 3, through: most, by: 2) {
        guard let best = leastSeconds(graph, memory: memory) else { continue }
        cases += 1
        if let found = MemoryCurve.schedule(graph, memory: memory) {
          #expect(found.floatsInUse(graph) <= memory && found.seconds(costs) >= best)
        }
        guard let relaxed = MemoryCurve.schedule(graph, memory: memory + costs[costs.count - 1].outputCount) else { continue }
        worst = max(worst, relaxed.seconds(costs) / best)
        equal += relaxed.seconds(costs) <= best ? 1 : 0
        planned += 1
      }
    }
    #expect(cases > 300 && planned * 20 >= cases * 19 && equal * 100 >= cases * 88 && worst <= 1.25, "\(cases) \(planned) \(equal) \(worst)")
  }

  /// A layer whose inner layers are no stages of their own.
  private struct Whole: Layer {
    let layer: any Layer
    func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
      try builder.place(layer, inputShape: inputShape)
    }
  }

  /// Networks with residual blocks: as the network's first layer, with and without layers in a shortcut, inside each other, and with
  /// layers in place at the end of a branch and behind the block.
  /// - Parameter isWhole: whether a block is one layer.
  @LayerBuilder private func layers(_ number: Int, isWhole: Bool) -> [NamedLayer] {
    let block = { (block: Residual) -> any Layer in isWhole ? Whole(layer: block) : block }
    let convolution = Convolution(3, size: 3, padding: 1)
    switch number {
    case 0:
      convolution
      block(Residual(rectified: true) { BatchNormalization(); ReLU(); convolution })
    case 1:
      block(Residual { convolution; ReLU() } shortcut: { Convolution(3, size: 1).named("down"); BatchNormalization().named("norm") })
    case 2:
      convolution
      block(Residual(rectified: true) { convolution; ReLU() })
      ReLU()
    default:
      convolution
      block(Residual { Residual(rectified: true) { convolution; BatchNormalization() }; ReLU() })
      block(Residual(rectified: true) { Residual { convolution; ReLU() } shortcut: { convolution.named("down") } })
    }
    Dense(5)
  }

  /// Promise "same bits": a block's layers as stages give the bits of the block as one layer, with every schedule.
  @Test(arguments: 0..<4, ["sgd", "adam"]) func stagesGiveTheBitsOfTheBlock(number: Int, optimizer: String) throws {
    func digests(_ network: CompiledNetwork) throws -> [Digest] {
      var state = try StateBuffer(count: network.stateCount)
      try network.layout.initialize(&state, seed: 1)
      var workspace = try network.makeWorkspace()
      return try (0..<2).map { update in
        RandomSource(seed: 3, purpose: .synthesis).fillNormal(workspace.inputs(rows: 3).elements, batch: update, deviation: 1)
        for index in 0..<3 { workspace.targets.classes[index] = Int32(index) }
        try network.update(
          &state, learningRate: 0.1, position: update, context: PassContext(isTraining: true, batch: update), workspace: &workspace)
        return try Digest(of: state, updateCount: update)
      }
    }
    func network(isWhole: Bool) throws -> CompiledNetwork {
      try CompiledNetwork(
        Network(input: [4, 5, 2], layers: layers(number, isWhole: isWhole)), loss: CrossEntropy(), batchSize: 3,
        optimizer: Optimizer(optimizer))
    }
    let (whole, parts) = (try network(isWhole: true), try network(isWhole: false))
    #expect(parts.graph.stages.count > whole.graph.stages.count)
    let expected = try digests(whole)
    let curve = MemoryCurve(parts)
    #expect(curve.points.count > (number == 0 ? 0 : 1))
    for point in curve.points {
      #expect(try digests(try parts.rescheduled(point.schedule)) == expected, "\(point.schedule.passes)")
    }
  }
}
