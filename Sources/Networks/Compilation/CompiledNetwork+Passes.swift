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
  ) {
    let vector = state.mutableVector
    run(vector, context: context, workspace: &workspace) {
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
  ) {
    let sink = GradientSink.accumulate(in: gradient.mutableVector, scale: 1, keep: 0)
    run(state.mutableVector, context: context, workspace: &workspace) { _ in sink }
  }

  /// The mean loss L(θ) of the full batch in `workspace` as an update sees it. Buffers such as running statistics
  /// are changed as in training.
  public func trainingLoss(
    of state: inout StateBuffer, context: PassContext, workspace: inout Workspace
  ) -> Double {
    let outputs = forward(state.vector, buffers: state.mutableVector, rows: batchSize, context: context, workspace: &workspace)
    var sum = 0.0
    loss.sum(over: outputs, workspace.targets, into: &sum)
    return sum / Double(loss.termCount(outputs: outputCount)) / Double(outputs.rows)
  }

  /// Adds the first `rows` examples in `workspace`, evaluated on a borrowed state, to a measurement. They may be a part of a
  /// batch of the measurement: outputs of finite states are the same bits whatever the other rows are, and however many.
  public func evaluate(
    _ state: borrowing StateBuffer, rows: Int, workspace: inout Workspace, into measurement: inout Measurement
  ) {
    let outputs = outputs(state, rows: rows, workspace: &workspace)
    measurement.add(outputs, workspace.targets)
  }

  /// The outputs for the first `rows` examples in `workspace`: `rows` · `predictionCount` × `outputCount`, valid until its
  /// next use.
  public func outputs(
    _ state: borrowing StateBuffer, rows: Int, workspace: inout Workspace
  ) -> Matrix {
    forward(
      state.vector, buffers: nil, rows: rows, context: PassContext(isTraining: false), workspace: &workspace)
  }

  /// The outputs for the first `rows` examples in `workspace` in any context: `rows` · `predictionCount` × `outputCount`, valid until
  /// its next use. In training, buffers such as running statistics are changed.
  public func outputs(
    _ state: inout StateBuffer, rows: Int, context: PassContext, workspace: inout Workspace
  ) -> Matrix {
    forward(state.vector, buffers: state.mutableVector, rows: rows, context: context, workspace: &workspace)
  }

  /// Runs the forward passes up to the loss.
  /// - Parameter buffers: the state again, where training passes may change its buffers; nil where it is only borrowed.
  /// - Returns: the outputs, a row for each prediction.
  private func forward(
    _ state: Vector, buffers: MutableVector?, rows: Int, context: PassContext, workspace: inout Workspace
  ) -> Matrix {
    let arena = workspace.arena.mutableVector
    let context = context.shared(between: kernelThreads)
    for step in program.steps {
      if step.kind == .loss { break }
      forward(step, state, buffers: buffers, rows: rows, context: context, in: arena)
    }
    return arena.vector.part(program.outputs).matrix(rows: rows * predictionCount, columns: outputCount)
  }

  /// Runs all passes of an update.
  /// - Parameter sink: where gradients go, given memory for that of one parameter.
  private func run(
    _ state: MutableVector, context: PassContext, workspace: inout Workspace, sink: (MutableVector) -> GradientSink
  ) {
    let arena = workspace.arena.mutableVector
    let context = context.shared(between: kernelThreads)
    for step in program.steps { perform(step, state, context: context, targets: workspace.targets, in: arena, sink: sink) }
  }

  private func perform(
    _ step: NetworkProgram.Step, _ state: MutableVector, context: PassContext, targets: Targets, in arena: MutableVector,
    sink: (MutableVector) -> GradientSink
  ) {
    let gradient = arena.part(step.outputGradient)
    switch step.kind {
    case .forward:
      forward(step, state.vector, buffers: state, rows: batchSize, context: context, in: arena)
    case .loss:
      loss.writeGradient(
        of: output(of: step, rows: batchSize, in: arena).matrix.rearranged(columns: outputCount), targets,
        predictions: batchSize * predictionCount, to: gradient.matrix(rows: batchSize * predictionCount, columns: outputCount))
    case .backward:
      let input = input(of: step, rows: batchSize, in: arena.vector)
      let output = output(of: step, rows: batchSize, in: arena).matrix
      stages[step.stage].backward(
        BackwardPass(
          input: input, output: output, outputGradient: gradient.matrix(rows: batchSize, columns: output.columns),
          inputGradient: step.inputGradient.map { arena.part($0).matrix(rows: batchSize, columns: input.columns) },
          saved: arena.vector.part(step.saved), scratch: arena.part(step.scratch), context: context, state: state.vector,
          sink: sink(arena.part(step.parameterGradient))))
    }
  }

  private func forward(
    _ step: NetworkProgram.Step, _ state: Vector, buffers: MutableVector?, rows: Int, context: PassContext,
    in arena: MutableVector
  ) {
    stages[step.stage].forward(
      ForwardPass(
        input: input(of: step, rows: rows, in: arena.vector), output: output(of: step, rows: rows, in: arena),
        saved: arena.part(step.saved), scratch: arena.part(step.scratch), context: context.repeated(step.isRepeated),
        state: state, buffers: context.isTraining && !step.isRepeated ? buffers : nil))
  }

  /// The stages' costs with times measured on the batch in `workspace`: the least of each pass's times.
  /// - Parameters:
  ///   - state: its slots and buffers are changed, as by updates with a learning rate of zero.
  ///   - context: seed and batch, from which layers draw random numbers, and what kind of pass it is.
  ///   - workspace: holds the batch.
  ///   - repetitions: updates after a first one, which also pays for touching memory.
  public func measuredCosts(
    _ state: inout StateBuffer, context: PassContext, workspace: inout Workspace, repetitions: Int = 2
  ) -> [StageCost] {
    let clock = ContinuousClock()
    let arena = workspace.arena.mutableVector
    let vector = state.mutableVector
    let context = context.shared(between: kernelThreads)
    var costs = stageCosts
    for index in costs.indices { (costs[index].forwardSeconds, costs[index].backwardSeconds) = (.infinity, .infinity) }
    for _ in 0...repetitions {
      for step in program.steps {
        let seconds = clock.measure {
          perform(step, vector, context: context, targets: workspace.targets, in: arena) {
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

  private func input(of step: NetworkProgram.Step, rows: Int, in arena: Vector) -> Matrix {
    arena.part(step.input).matrix(rows: rows, columns: stageCosts[step.stage].inputCount / batchSize)
  }

  private func output(of step: NetworkProgram.Step, rows: Int, in arena: MutableVector) -> MutableMatrix {
    arena.part(step.output).matrix(rows: rows, columns: stageCosts[step.stage].outputCount / batchSize)
  }
}
