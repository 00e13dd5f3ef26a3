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
    var times = Array(repeating: StageTimes(), count: stages.count)
    var rounds = 0
    repeat {
      try measure(&state, context: context, workspace: &workspace, &times)
      rounds += 1
    } while rounds < 4 && (.now - begin) * (rounds + 1) / rounds < .seconds(1)
    return zip(graph.stages, times).map { $0.cost.with(forward: $1.forward, backward: $1.backward + $1.loss) }
  }

  private func measure(
    _ state: inout StateBuffer, context: PassContext, workspace: inout Workspace, _ times: inout [StageTimes]
  ) throws(PagingError) {
    let arena = workspace.arena.mutableVector
    let (vector, pager) = (state.mutableVector, state.pager)
    let context = context.shared(between: kernelThreads)
    try forEachStep(holding: pager) { step throws(PagingError) in
      let begin = ContinuousClock.now
      try perform(step, vector, pager: pager, context: context, in: arena, workspace: &workspace) {
        sink(vector, learningRate: 0, position: 0, scratch: $0)
      }
      times[step.stage].add(step.kind, (.now - begin) / .seconds(1))
    }
  }

  /// The multiply-adds of an update that runs each pass once.
  public var multiplyAdds: Double {
    graph.stages.reduce(0) { $0 + $1.cost.forwardMultiplyAdds + $1.cost.backwardMultiplyAdds }
  }

  /// The multiply-adds of evaluating an example.
  public var multiplyAddsOfExample: Double {
    graph.stages.reduce(0) { $0 + $1.cost.forwardMultiplyAdds } / Double(batchSize)
  }

  /// The costs of this network's stages, with times that were measured on one that makes its logits in parts where this one makes
  /// them whole, or the other way round, or that is the same.
  public func costs(measured: [StageCost]) -> [StageCost] {
    zip(graph.stages, measured).map { stage, measured in
      var backward = measured.backwardSeconds
      // In parts, the logits are made once more on the way back.
      if stage.cost.backwardMultiplyAdds != measured.backwardMultiplyAdds {
        backward += (stage.cost.backwardMultiplyAdds > measured.backwardMultiplyAdds ? 1 : -1) * measured.forwardSeconds
      }
      return stage.cost.with(forward: measured.forwardSeconds, backward: max(0, backward))
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
