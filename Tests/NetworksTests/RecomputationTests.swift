import Networks
import Tensors
import TestSupport
import Testing

@Suite struct RecomputationTests {
  /// A few updates and one gradient; their bits.
  private func digests(_ network: CompiledNetwork, inputs: (MutableMatrix) -> Void, classes: Int) throws -> [Digest] {
    var state = try StateBuffer(count: network.stateCount)
    try network.layout.initialize(&state, seed: 1)
    var workspace = try network.makeWorkspace()
    var digests: [Digest] = []
    for update in 0..<3 {
      inputs(workspace.inputs(rows: network.batchSize))
      for index in workspace.targets.classes.indices { workspace.targets.classes[index] = Int32((index * 7 + update) % classes) }
      let context = PassContext(isTraining: true, seed: 5, batch: update + 1)
      if update == 2 {
        var gradient = try StateBuffer(count: network.layout.count)
        try network.gradient(of: &state, into: &gradient, context: context, workspace: &workspace)
        digests.append(try Digest(of: gradient, updateCount: 0))
      }
      try network.update(&state, learningRate: 0.01, position: update, context: context, workspace: &workspace)
      digests.append(try Digest(of: state, updateCount: update + 1))
    }
    return digests
  }

  /// Promise "same bits": recomputation changes none, with running statistics, dropout and every kind of
  /// optimizer.
  @Test(arguments: [
    ("resnet18:2", "sgd"), ("resnet18:2", "adam"), ("resnet50:1", "momentum"), ("lenet", "sgd"),
    ("gpt:layers=3,heads=2,width=8,context=5,dropout=0.3", "adamw"), ("mlp:9,8,7", "rmsprop"),
  ], ProductLibrary.allCases)
  func bitsDoNotChange(of network: (model: String, optimizer: String), by library: ProductLibrary) throws {
    let (model, optimizer) = network
    let products = Products(library)
    let specification = try ModelSpecification(model)
    let shape = specification.context.map { [$0] } ?? [14, 13, 2]
    let description = try specification.network(inputShape: shape, outputs: 6)
    func fill(_ inputs: MutableMatrix) {
      let random = RandomSource(seed: 3, purpose: .synthesis)
      random.fillNormal(inputs.elements, batch: 0, deviation: 1)
      guard specification.context != nil else { return }
      for index in 0..<inputs.elements.count { inputs.elements[index] = Float(random.index(below: 6, batch: 1, example: index)) }
    }
    let whole = try CompiledNetwork(description, loss: CrossEntropy(), batchSize: 4, optimizer: Optimizer(optimizer), products: products)
    let expected = try digests(whole, inputs: fill, classes: 6)
    let curve = MemoryCurve(whole)
    #expect(curve.points[0].schedule.repeatedPasses == 0)
    if model.hasPrefix("resnet") || model.hasPrefix("gpt") { #expect(curve.points.count > 2) }
    for point in curve.points {
      let network = try CompiledNetwork(
        description, loss: CrossEntropy(), batchSize: 4, optimizer: Optimizer(optimizer), schedule: point.schedule,
        products: products)
      #expect(network.arenaCount == point.arenaCount)
      #expect(try digests(network, inputs: fill, classes: 6) == expected, "\(point.schedule.passes)")
    }
  }

  private func stages(_ count: Int, _ random: inout SplitMix) -> [StageCost] {
    let sizes = (0...count).map { _ in Int.random(in: 1...9, using: &random) }
    return (0..<count).map {
      StageCost(
        forwardSeconds: Double(Int.random(in: 1...9, using: &random)),
        backwardSeconds: Double(Int.random(in: 1...9, using: &random)), inputCount: sizes[$0], outputCount: sizes[$0 + 1],
        savedCount: Int.random(in: 0...9, using: &random), forwardScratchCount: Int.random(in: 0...3, using: &random),
        backwardScratchCount: Int.random(in: 0...3, using: &random))
    }
  }

  /// All persistent schedules for going back from stage t to stage s, as the theory defines them.
  private func allSchedules(_ s: Int, _ t: Int) -> [[ActivationSchedule.Pass]] {
    var all: [[ActivationSchedule.Pass]] = (s == t ? [[]] : allSchedules(s + 1, t)).map { [.forward(s)] + $0 + [.backward(s)] }
    for split in (s + 1)..<max(s + 1, t + 1) {
      let sweep = (s..<split).map { ActivationSchedule.Pass.forward($0) }
      for right in allSchedules(split, t) { for left in allSchedules(s, split - 1) { all.append(sweep + right + left) } }
    }
    return all
  }

  /// The memory of a schedule by its definition: what is alive at each pass.
  private func peak(_ passes: [ActivationSchedule.Pass], _ stages: [StageCost]) -> Int {
    let count = stages.count
    func isUsed(_ activation: Int, after now: Int) -> Bool {
      for pass in passes[(now + 1)...] {
        switch pass {
        case .forward(let stage):
          if stage == activation { return true }
          if stage + 1 == activation { return false }
        case .backward(let stage): if stage == activation || stage + 1 == activation { return true }
        }
      }
      return false
    }
    /// Whether the saved data of a stage are used before they are saved again.
    func isSavedUsed(_ saved: Int, after now: Int) -> Bool {
      for pass in passes[(now + 1)...] {
        if pass == .forward(saved) { return false }
        if pass == .backward(saved) { return true }
      }
      return false
    }
    var largest = 0
    var made: Set<Int> = []
    var saved: Set<Int> = []
    var gradient = count
    for (now, pass) in passes.enumerated() {
      var memory = 0
      switch pass {
      case .forward(let stage):
        made.insert(stage + 1)
        saved.insert(stage)
        memory += stages[stage].forwardScratchCount
        if made.contains(count) || gradient < count { memory += gradient == count && stage == count - 1 ? 0 : stages[gradient - 1].outputCount }
      case .backward(let stage):
        memory += stages[stage].backwardScratchCount + stages[stage].outputCount + (stage > 0 ? stages[stage].inputCount : 0)
        gradient = stage
      }
      for activation in made {
        let isHere = pass == .forward(activation) || pass == .forward(activation - 1) || pass == .backward(activation) || pass == .backward(activation - 1)
        if isHere || isUsed(activation, after: now) { memory += stages[activation - 1].outputCount } else { made.remove(activation) }
      }
      for stage in saved {
        if pass == .forward(stage) || pass == .backward(stage) || isSavedUsed(stage, after: now) { memory += stages[stage].savedCount } else { saved.remove(stage) }
      }
      largest = max(largest, memory)
    }
    return largest
  }

  /// No schedule of the theory is faster with the same memory.
  @Test func plansAreOptimalForShortChains() {
    var random = SplitMix(state: 9)
    for trial in 0..<40 {
      let stages = stages(1 + trial % 4, &random)
      let all = allSchedules(0, stages.count - 1).map { ActivationSchedule($0) }
      let peaks = all.map { peak($0.passes, stages) }
      for memory in stride(from: peaks.min()! - 1, through: peaks.max()!, by: 3) {
        let best = zip(all, peaks).filter { $1 <= memory }.map { $0.0.seconds(stages) }.min()
        let found = MemoryCurve.schedule(StageGraph(chain: stages), memory: memory)
        // Plans count the gradient of the last output from the start, so they may need that much more memory.
        let slack = memory + stages[stages.count - 1].outputCount + stages[0].inputCount
        if let best {
          let relaxed = MemoryCurve.schedule(StageGraph(chain: stages), memory: slack)
          #expect(relaxed.map { $0.seconds(stages) <= best + 1e-9 } == true)
        }
        if let found {
          #expect(peak(found.passes, stages) <= memory)
          #expect(best.map { found.seconds(stages) >= $0 - 1e-9 } == true)
        }
      }
    }
  }

  /// With equal stages whose saved data are so large that only one stage can keep them, the number of repetitions is
  /// the binomial optimum of Griewank and Walther.
  @Test(arguments: [4, 7, 10])
  func equalStagesTakeTheBinomialOptimum(count: Int) {
    let stages = equalStages(count)
    for slots in 0..<count {
      // Besides the slots there are the saved data of the current stage, its input and output, and their gradients.
      guard let schedule = MemoryCurve.schedule(StageGraph(chain: stages), memory: slots + 104) else {
        Issue.record("\(slots) slots are enough")
        continue
      }
      #expect(schedule.passes.count - count == binomialOptimum(count: count, slots: slots), "\(count) stages, \(slots) slots")
    }
  }

  /// Stages whose saved data are so large that only one stage can keep them.
  private func equalStages(_ count: Int) -> [StageCost] {
    (0..<count).map { _ in
      StageCost(
        forwardSeconds: 1, backwardSeconds: 1, inputCount: 1, outputCount: 1, savedCount: 100, forwardScratchCount: 0,
        backwardScratchCount: 0)
    }
  }

  /// The number of forward passes of the optimal schedule of Griewank and Walther for equal stages.
  private func binomialOptimum(count: Int, slots: Int) -> Int {
    func choose(_ n: Int, _ k: Int) -> Int { (0..<k).reduce(1) { $0 * (n - $1) / ($1 + 1) } }
    // The start is available at no cost, and each backward pass needs its own forward pass before it.
    let s = slots + 1
    var r = 0
    while choose(s + r, min(s, r)) < count { r += 1 }
    return r * count - choose(s + r, r - 1) + count
  }

  /// Planning takes memory and time proportional to the length of a long chain: a table of all its stretches would
  /// take gigabytes and minutes here. The schedule is close to the optimum.
  @Test(.timeLimit(.minutes(1)), arguments: [(250, 2), (250, 12), (250, 120), (1200, 3), (1200, 25), (1200, 300), (1200, 890), (1200, 1500)])
  func longChainsArePlannedNearTheOptimum(count: Int, slots: Int) throws {
    let stages = equalStages(count)
    let schedule = try #require(MemoryCurve.schedule(StageGraph(chain: stages), memory: slots + 104))
    #expect(peak(schedule.passes, stages) <= slots + 104)
    let (forward, optimum) = (schedule.passes.count - count, binomialOptimum(count: count, slots: slots))
    #expect(Double(forward) <= 1.1 * Double(optimum), "\(forward), not \(optimum)")
    // With as many slots as a stage saves, keeping everything of some stages is better than the optimum that keeps
    // inputs only.
    if slots < 100 { #expect(forward >= optimum) }
  }

  /// With stages of all sizes in nested stretches, a schedule stays within its memory, and each stage goes back once,
  /// after its own forward pass.
  @Test(arguments: [101, 173])
  func longChainsOfUnequalStages(count: Int) throws {
    var random = SplitMix(state: 3)
    let stages = stages(count, &random)
    let all = stages.reduce(40) { $0 + $1.savedCount + $1.outputCount }
    for memory in [60, all / 8, all / 3, 2 * all] {
      let schedule = try #require(MemoryCurve.schedule(StageGraph(chain: stages), memory: memory))
      #expect(peak(schedule.passes, stages) <= memory)
      var ran: Set<Int> = []
      var next = count - 1
      for pass in schedule.passes {
        switch pass {
        case .forward(let stage): ran.insert(stage)
        case .backward(let stage):
          #expect(stage == next && ran.contains(stage))
          next -= 1
        }
      }
      #expect(next == -1)
      if memory == 2 * all { #expect(schedule.repeatedPasses == 0) }
    }
  }

  @Test(.timeLimit(.minutes(1))) func deepNetworksHaveACurve() throws {
    let network = try CompiledNetwork(
      ModelSpecification("gpt:layers=200,heads=2,width=8,context=8").network(inputShape: [8], outputs: 20),
      loss: CrossEntropy(), batchSize: 2)
    let points = MemoryCurve(network).points
    let (most, least) = (points[0], points[points.count - 1])
    #expect(points.count > 50 && most.schedule.repeatedPasses == 0)
    // The least memory is below a twentieth of the most; a tenth suffices for less than twice the time.
    #expect(least.arenaCount * 20 < most.arenaCount)
    #expect(points.contains { $0.arenaCount * 10 < most.arenaCount && $0.seconds < 2 * most.seconds })
  }

  /// `torch.utils.checkpoint.checkpoint_sequential`: the inputs of segments are kept, and all segments but the last
  /// run forward again.
  @Test func neverWorseThanEqualSegments() throws {
    let description = try ModelSpecification("resnet50:2").network(inputShape: [16, 16, 3], outputs: 10)
    let network = try CompiledNetwork(description, loss: CrossEntropy(), batchSize: 8)
    let (blocks, costs) = (network.graph.blocks, network.graph.stages.map(\.cost))
    let curve = MemoryCurve(network)
    for count in 1...blocks.count {
      let starts = (0..<count).map { blocks[$0 * (blocks.count / count)].lowerBound } + [costs.count]
      var passes = costs.indices.map { ActivationSchedule.Pass.forward($0) }
      for index in (0..<count).reversed() {
        let segment = starts[index]..<starts[index + 1]
        if index < count - 1 { for stage in segment { passes.append(.forward(stage)) } }
        for stage in segment.reversed() { passes.append(.backward(stage)) }
      }
      let segmented = ActivationSchedule(passes)
      let point = try #require(curve.fastest(arenaCount: network.arenaCount(with: segmented)))
      #expect(point.seconds <= segmented.seconds(costs) + 1e-9, "\(count) segments")
    }
  }

  /// More memory is never slower, and the ends of a curve are the least memory and no repetition.
  @Test func curvesAreMonotone() throws {
    let description = try ModelSpecification("resnet18:4").network(inputShape: [16, 16, 3], outputs: 10)
    let curve = MemoryCurve(try CompiledNetwork(description, loss: CrossEntropy(), batchSize: 8))
    for (a, b) in zip(curve.points, curve.points.dropFirst()) {
      #expect(a.arenaCount > b.arenaCount && a.seconds < b.seconds)
    }
    #expect(curve.fastest(arenaCount: curve.points[curve.points.count - 1].arenaCount - 1) == nil)
  }
}
