import Tensors

extension CompiledNetwork {
  /// One step of the optimizer on the full batch in `workspace`, for the gradient ∇L(θ) of the mean loss. Plain
  /// SGD updates each weight where its gradient arises, and stores none; other rules hold one parameter's gradient at a
  /// time.
  /// - Parameters:
  ///   - state: the training state, which the step changes.
  ///   - learningRate: η of this update.
  ///   - position: how many updates the state has had before.
  ///   - context: seed and batch, from which layers draw random numbers, and what kind of pass it is.
  ///   - workspace: holds the batch.
  public func update(
    _ state: inout StateBuffer, learningRate: Double, position: Int, context: PassContext,
    workspace: inout Workspace
  ) throws(PagingError) {
    let vector = state.mutableVector
    try run(vector, pager: state.pager, context: context, workspace: &workspace) {
      sink(vector, learningRate: learningRate, position: position, scratch: $0)
    }
  }

  /// Where an update's gradients go.
  /// - Parameter scratch: memory for that of one parameter, where the optimizer needs it whole.
  private func sink(
    _ state: MutableVector, learningRate: Double, position: Int, scratch: MutableVector
  ) -> GradientSink {
    if optimizer.rule == .sgd {
      let lambda: Double =
        switch optimizer.weightDecay { case .l2(let lambda), .decoupled(let lambda): lambda }
      return .accumulate(in: state, scale: Float(-learningRate), keep: Float(1 - learningRate * lambda))
    }
    let step = OptimizerStep(
      rule: optimizer.rule, weightDecay: optimizer.weightDecay, learningRate: learningRate, position: position,
      slotDistance: layout.count)
    return .step(step, state: state, scratch: scratch)
  }

  /// ∇L(θ) of the full batch in `workspace`, laid out like the network's tensors. Buffers such as running statistics are
  /// changed as in training.
  public func gradient(
    of state: inout StateBuffer, into gradient: inout StateBuffer, context: PassContext,
    workspace: inout Workspace
  ) throws(PagingError) {
    let sink = GradientSink.accumulate(in: gradient.mutableVector, scale: 1, keep: 0)
    try run(state.mutableVector, pager: state.pager, context: context, workspace: &workspace) { _ in sink }
  }

  /// The mean loss L(θ) of the full batch in `workspace` as an update sees it. Buffers such as running statistics
  /// are changed as in training.
  public func trainingLoss(
    of state: inout StateBuffer, context: PassContext, workspace: inout Workspace
  ) throws(PagingError) -> Double {
    let outputs = try forward(
      state.vector, pager: state.pager, buffers: state.mutableVector, rows: batchSize, context: context, workspace: &workspace)
    var sum = 0.0
    loss.sum(over: outputs, workspace.targets, into: &sum)
    return sum / Double(loss.termCount(outputs: outputCount)) / Double(outputs.rows)
  }

  /// Adds the first `rows` examples in `workspace`, evaluated on a borrowed state, to a measurement. They may be a part of a
  /// batch of the measurement: outputs of finite states are the same bits whatever the other rows are, and however many.
  public func evaluate(
    _ state: borrowing StateBuffer, rows: Int, workspace: inout Workspace, into measurement: inout Measurement
  ) throws(PagingError) {
    let outputs = try outputs(state, rows: rows, workspace: &workspace)
    measurement.add(outputs, workspace.targets)
  }

  /// The outputs for the first `rows` examples in `workspace`: `rows` · `predictionCount` × `outputCount`, valid until its
  /// next use.
  public func outputs(
    _ state: borrowing StateBuffer, rows: Int, workspace: inout Workspace
  ) throws(PagingError) -> Matrix {
    try forward(
      state.vector, pager: state.pager, buffers: nil, rows: rows, context: PassContext(isTraining: false), workspace: &workspace)
  }

  /// The outputs for the first `rows` examples in `workspace` in any context: `rows` · `predictionCount` × `outputCount`, valid until
  /// its next use. In training, buffers such as running statistics are changed.
  public func outputs(
    _ state: inout StateBuffer, rows: Int, context: PassContext, workspace: inout Workspace
  ) throws(PagingError) -> Matrix {
    try forward(
      state.vector, pager: state.pager, buffers: state.mutableVector, rows: rows, context: context, workspace: &workspace)
  }

  /// Runs the forward passes up to the loss.
  /// - Parameter buffers: the state again, where training passes may change its buffers; nil where it is only borrowed.
  /// - Returns: the outputs, a row for each prediction.
  private func forward(
    _ state: Vector, pager: Pager?, buffers: MutableVector?, rows: Int, context: PassContext, workspace: inout Workspace
  ) throws(PagingError) -> Matrix {
    let arena = workspace.arena.mutableVector
    let context = context.shared(between: kernelThreads)
    try forEachStep(before: .loss, holding: pager) { step in
      forward(step, state, buffers: buffers, rows: rows, context: context, in: arena)
    }
    return arena.vector.part(program.outputs).matrix(rows: rows * predictionCount, columns: outputCount)
  }

  /// Runs all passes of an update.
  /// - Parameter sink: where gradients go, given memory for that of one parameter.
  private func run(
    _ state: MutableVector, pager: Pager?, context: PassContext, workspace: inout Workspace,
    sink: (MutableVector) -> GradientSink
  ) throws(PagingError) {
    let arena = workspace.arena.mutableVector
    let context = context.shared(between: kernelThreads)
    let targets = workspace.targets
    try forEachStep(holding: pager) { step in perform(step, state, context: context, targets: targets, in: arena, sink: sink) }
  }

  /// Calls `body` with one step after the other, while what it needs of the state is in memory.
  /// - Parameters:
  ///   - end: the kind of step to stop before; nil for all steps.
  ///   - pager: that of the state; nil where all of it is in memory.
  private func forEachStep(
    before end: PassKind? = nil, holding pager: Pager?, _ body: (PassStep<Region>) -> Void
  ) throws(PagingError) {
    var hold = StateHold(pager, accesses)
    do throws(PagingError) {
      for (index, step) in program.steps.enumerated() {
        if step.kind == end { break }
        try hold.hold(for: index)
        body(step)
      }
    } catch {
      try? hold.releaseAll()
      throw error
    }
    try hold.releaseAll()
  }

  private func perform(
    _ step: PassStep<Region>, _ state: MutableVector, context: PassContext, targets: Targets, in arena: MutableVector,
    sink: (MutableVector) -> GradientSink
  ) {
    switch step.kind {
    case .forward:
      forward(step, state.vector, buffers: state, rows: batchSize, context: context, in: arena)
    case .loss:
      let outputs = matrix(step.output, of: step.stage + 1, rows: batchSize, in: arena)
      let gradient = matrix(step.outputGradient, of: step.stage + 1, rows: batchSize, in: arena)
      loss.writeGradient(
        of: outputs.matrix.rearranged(columns: outputCount), targets, predictions: batchSize * predictionCount,
        to: gradient.rearranged(columns: outputCount))
    case .backward:
      backward(step, state.vector, context: context, in: arena, sink: sink)
    }
  }

  private func forward(
    _ step: PassStep<Region>, _ state: Vector, buffers: MutableVector?, rows: Int, context: PassContext,
    in arena: MutableVector
  ) {
    let inputs = graph.stages[step.stage].inputs
    let input = matrix(step.inputs[0], of: inputs[0], rows: rows, in: arena)
    let output = matrix(step.output, of: step.stage + 1, rows: rows, in: arena)
    switch stages[step.stage].work {
    case .layers(let layers):
      layers.forward(
        ForwardPass(
          input: input.matrix, output: output, saved: part(step.saved, of: arena), scratch: part(step.scratch, of: arena),
          context: context.repeated(step.isRepeated), state: state,
          buffers: context.isTraining && !step.isRepeated ? buffers : nil))
    case .sum(let isRectified):
      if !graph.stages[step.stage].takesInputPlace { output.elements.copy(from: input.elements.vector) }
      output.elements.add(matrix(step.inputs[1], of: inputs[1], rows: rows, in: arena).elements.vector)
      if isRectified { output.elements.rectify() }
    }
  }

  private func backward(
    _ step: PassStep<Region>, _ state: Vector, context: PassContext, in arena: MutableVector,
    sink: (MutableVector) -> GradientSink
  ) {
    let activation = graph.stages[step.stage].inputs[0]
    let output = matrix(step.output, of: step.stage + 1, rows: batchSize, in: arena)
    var gradient = matrix(step.outputGradient, of: step.stage + 1, rows: batchSize, in: arena)
    if step.gradientCopy != nil {
      let copy = matrix(step.gradientCopy, of: step.stage + 1, rows: batchSize, in: arena)
      copy.elements.copy(from: gradient.elements.vector)
      gradient = copy
    }
    let inputGradient = step.inputGradient.map { matrix($0, of: activation, rows: batchSize, in: arena) }
    switch stages[step.stage].work {
    case .layers(let layers):
      layers.backward(
        BackwardPass(
          input: matrix(step.inputs[0], of: activation, rows: batchSize, in: arena).matrix, output: output.matrix,
          outputGradient: gradient, inputGradient: inputGradient, saved: part(step.saved, of: arena).vector,
          scratch: part(step.scratch, of: arena), context: context, state: state,
          sink: sink(part(step.parameterGradient, of: arena))))
    case .sum(let isRectified):
      if isRectified { gradient.elements.keep(where: output.elements.vector) }
    }
    for addend in step.addends {
      inputGradient?.elements.add(matrix(addend, of: activation, rows: batchSize, in: arena).elements.vector)
    }
  }

  /// The stages' costs with times measured on the batch in `workspace`: the least of each pass's times, in the order of stages.
  /// - Parameters:
  ///   - state: its slots and buffers are changed, as by updates with a learning rate of zero.
  ///   - context: seed and batch, from which layers draw random numbers, and what kind of pass it is.
  ///   - workspace: holds the batch.
  ///   - repetitions: updates after a first one, which also pays for touching memory.
  public func measuredCosts(
    _ state: inout StateBuffer, context: PassContext, workspace: inout Workspace, repetitions: Int = 2
  ) throws(PagingError) -> [StageCost] {
    let clock = ContinuousClock()
    let (arena, targets) = (workspace.arena.mutableVector, workspace.targets)
    let (vector, pager) = (state.mutableVector, state.pager)
    let context = context.shared(between: kernelThreads)
    var costs = graph.stages.map(\.cost)
    for index in costs.indices { (costs[index].forwardSeconds, costs[index].backwardSeconds) = (.infinity, .infinity) }
    for _ in 0...repetitions {
      try forEachStep(holding: pager) { step in
        let seconds = clock.measure {
          perform(step, vector, context: context, targets: targets, in: arena) {
            sink(vector, learningRate: 0, position: 0, scratch: $0)
          }
        } / .seconds(1)
        switch step.kind {
        case .forward: costs[step.stage].forwardSeconds = min(costs[step.stage].forwardSeconds, seconds)
        case .backward: costs[step.stage].backwardSeconds = min(costs[step.stage].backwardSeconds, seconds)
        case .loss: break
        }
      }
    }
    return costs
  }

  /// An activation, or a gradient by it: examples × numbers of one.
  /// - Parameter region: its place; nil where it is not there and nobody reads it. Then the matrix has the right shape only.
  private func matrix(_ region: Region?, of activation: Int, rows: Int, in arena: MutableVector) -> MutableMatrix {
    let columns = activation == 0 ? inputCount : graph.stages[activation - 1].cost.outputCount / batchSize
    return arena.part(region ?? Region(offset: 0, count: rows * columns)).matrix(rows: rows, columns: columns)
  }

  private func part(_ region: Region?, of arena: MutableVector) -> MutableVector {
    arena.part(region ?? Region(offset: 0, count: 0))
  }
}
