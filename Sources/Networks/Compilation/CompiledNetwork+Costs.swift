import Tensors

extension CompiledNetwork {
  /// The stages' costs with times measured on the batch in `workspace`, in the order of stages.
  ///
  /// Every pass of an update runs once. If that is short, it is repeated, and of each pass the least time counts: the first ones pay
  /// for touching memory.
  /// - Parameters:
  ///   - state: its slots and buffers are changed, as by updates with a learning rate of zero.
  ///   - context: seed and batch, from which layers draw random numbers, and what kind of pass it is.
  ///   - workspace: holds the batch.
  public func measuredCosts(
    _ state: inout StateBuffer, context: PassContext, workspace: inout Workspace
  ) throws(PagingError) -> [StageCost] {
    let begin = ContinuousClock.now
    // As the only micro-batch, so that the optimizer's steps are among what is timed.
    let part = MicroBatch(0, of: microBatchSize, batchSize: microBatchSize)
    let (vector, sums) = (state.mutableVector, gradientSums(of: part, in: &workspace))
    let pass = pass(part, context, of: vector, state.pager, sums)
    var times = Array(repeating: StageTimes(), count: stages.count)
    var rounds = 0
    repeat {
      try run(pass, workspace: &workspace, timed: { times[$0.stage].add($0.kind, $1) }) {
        sink(vector, learningRate: 0, position: 0, scratch: $0)
      }
      rounds += 1
    } while rounds < 4 && (.now - begin) * (rounds + 1) / rounds < .seconds(1)
    return zip(graph.stages, times).map { $0.cost.with(forward: $1.forward, backward: $1.backward + $1.loss) }
  }

  /// The multiply-adds of an update that runs each pass once.
  public var multiplyAdds: Double {
    graph.stages.reduce(0) { $0 + $1.cost.forwardMultiplyAdds + $1.cost.backwardMultiplyAdds } * microBatches
  }

  /// How many full micro-batches a batch makes.
  private var microBatches: Double { Double(batchSize) / Double(microBatchSize) }

  /// The multiply-adds of evaluating an example.
  public var multiplyAddsOfExample: Double {
    graph.stages.reduce(0) { $0 + $1.cost.forwardMultiplyAdds } / Double(microBatchSize)
  }

  /// Costs with the times that were measured on the same network, perhaps with its head whole or in parts, or in micro-batches of another
  /// size.
  public func costs(measured: [StageCost], on other: CompiledNetwork) -> [StageCost] {
    let share = Double(microBatchSize) / Double(other.microBatchSize)
    return zip(graph.stages.indices, measured).map { index, measured in
      var backward = measured.backwardSeconds
      // In parts, the logits are made once more on the way back.
      if index == stages.count - 1, (head == nil) != (other.head == nil) {
        backward += (head == nil ? -1 : 1) * measured.forwardSeconds
      }
      return graph.stages[index].cost.with(forward: share * measured.forwardSeconds, backward: share * max(0, backward))
    }
  }
}

private struct StageTimes {
  private(set) var forward = Double.infinity
  private(set) var backward = Double.infinity
  /// The loss and its gradient, which only the last stage has.
  private(set) var loss = 0.0

  mutating func add(_ kind: PassKind, _ seconds: Double) {
    switch kind {
    case .forward: forward = min(forward, seconds)
    case .backward: backward = min(backward, seconds)
    case .loss: loss = loss == 0 ? seconds : min(loss, seconds)
    }
  }
}

extension StageCost {
  /// The same cost with other times, in seconds.
  func with(forward: Double, backward: Double) -> StageCost {
    var cost = self
    (cost.forwardSeconds, cost.backwardSeconds) = (forward, backward)
    return cost
  }
}
