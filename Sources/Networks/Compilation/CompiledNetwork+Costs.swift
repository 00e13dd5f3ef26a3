import Tensors

extension CompiledNetwork {
  /// The stages' costs with times measured on the batch in `workspace`, in the order of stages.
  ///
  /// Stages that are alike, such as those of a transformer's layers, are measured once. If that takes a moment only, all are, several
  /// times, and of each the least counts: the first passes pay for touching memory.
  /// - Parameters:
  ///   - state: its slots and buffers are changed, as by updates with a learning rate of zero.
  ///   - context: seed and batch, from which layers draw random numbers, and what kind of pass it is.
  ///   - workspace: holds the batch.
  public func measuredCosts(
    _ state: inout StateBuffer, context: PassContext, workspace: inout Workspace
  ) throws(PagingError) -> [StageCost] {
    let begin = ContinuousClock.now
    var times: [StageKind: StageTimes] = [:]
    let kinds = graph.stages.indices.map { StageKind(stages[$0], graph.stages[$0], layout) }
    try measure(&state, context: context, workspace: &workspace, where: { step in
      let time = times[kinds[step.stage]]
      return (step.kind == .forward ? time?.forward : time?.backward) == nil
    }) { step, seconds in times[kinds[step.stage], default: StageTimes()].add(step.kind, seconds) }
    guard .now - begin < .milliseconds(100) else {
      return graph.stages.indices.map { graph.stages[$0].cost.with(times[kinds[$0]]) }
    }
    var each = Array(repeating: StageTimes(), count: stages.count)
    for _ in 0..<3 {
      try measure(&state, context: context, workspace: &workspace, where: { _ in true }) { each[$0.stage].add($0.kind, $1) }
    }
    return graph.stages.indices.map { graph.stages[$0].cost.with(each[$0]) }
  }

  /// Takes the steps of an update for which `isWanted` holds, and gives `body` the time of each in seconds. Numbers mean nothing where
  /// others are left out.
  private func measure(
    _ state: inout StateBuffer, context: PassContext, workspace: inout Workspace, where isWanted: (PassStep<Region>) -> Bool,
    _ body: @escaping (PassStep<Region>, Double) -> Void
  ) throws(PagingError) {
    // As the only micro-batch, so that the optimizer's steps are among what is timed.
    let part = MicroBatch(0, of: microBatchSize, batchSize: microBatchSize)
    let (vector, sums) = (state.mutableVector, gradientSums(of: part, in: &workspace))
    try run(pass(part, context, of: vector, state.pager, sums), workspace: &workspace, where: isWanted, timed: body) {
      sink(vector, learningRate: 0, position: 0, scratch: $0)
    }
  }

  /// Costs with the times that were measured on this network, or on the same with its head whole or in parts, or with micro-batches
  /// of another size.
  public func costs(measured: [StageCost], on other: CompiledNetwork) -> [StageCost] {
    let share = Double(microBatchSize) / Double(other.microBatchSize)
    return zip(graph.stages.indices, measured).map { index, measured in
      var cost = graph.stages[index].cost
      (cost.forwardSeconds, cost.backwardSeconds) = (share * measured.forwardSeconds, share * measured.backwardSeconds)
      // In parts, the logits are made once more on the way back.
      if index == stages.count - 1, (head == nil) != (other.head == nil) {
        cost.backwardSeconds += (head == nil ? -1 : 1) * cost.forwardSeconds
      }
      return cost
    }
  }
}

/// What the time of a stage's passes depends on.
private struct StageKind: Hashable {
  private let layers: [String]
  private let counts: [Int]
  private let shapes: [[Int]]

  init(_ stage: NetworkStage, _ node: StageGraph.Stage, _ layout: StateLayout) {
    switch stage.work {
    case .layers(let sequence): layers = sequence.kinds
    case .sum(let isRectified): layers = ["sum \(isRectified)"]
    }
    let cost = node.cost
    counts = [
      cost.inputCount, cost.outputCount, cost.savedCount, cost.forwardScratchCount, cost.backwardScratchCount,
      // The gradient by the network's input is not computed.
      node.inputs.contains(0) ? 1 : 0,
    ]
    shapes = layout.tensors[stage.tensors].map(\.shape)
  }
}

private struct StageTimes {
  private(set) var forward: Double?
  private(set) var backward: Double?

  mutating func add(_ kind: PassKind, _ seconds: Double) {
    switch kind {
    case .forward: forward = min(forward ?? .infinity, seconds)
    case .backward: backward = min(backward ?? .infinity, seconds)
    case .loss: break
    }
  }
}

extension StageCost {
  fileprivate func with(_ times: StageTimes?) -> StageCost {
    var cost = self
    (cost.forwardSeconds, cost.backwardSeconds) = (times?.forward ?? forwardSeconds, times?.backward ?? backwardSeconds)
    return cost
  }
}
