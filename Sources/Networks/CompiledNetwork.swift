import Tensors

/// A network for batches up to one size, with all its memory laid out before the first pass.
public struct CompiledNetwork: Sendable {
  /// The network's own tensors, at the start of the training state; the same for every batch size.
  public let layout: StateLayout
  public let batchSize: Int
  /// Features of an example, and labels: 1, or one for each position of a sequence.
  public let inputCount: Int
  public let labelCount: Int
  public let classCount: Int
  public let optimizer: Optimizer
  private let description: NetworkDescription
  /// The network's layers in groups that begin with one that has an output of its own; the others work on it in place.
  private let stages: [LayerChain]
  private let program: NetworkProgram

  /// - Parameters:
  ///   - isTrained: whether there will be updates and gradients; without, `evaluate` and `logits` take a fraction of the
  ///     memory.
  ///   - schedule: the order of an update's passes, for less memory; nil to keep all activations.
  public init(
    _ description: NetworkDescription, batchSize: Int, optimizer: Optimizer = Optimizer(.sgd), isTrained: Bool = true,
    schedule: ActivationSchedule? = nil
  ) throws(NetworkError) {
    var builder = NetworkBuilder(batchSize: batchSize, isTrained: isTrained)
    var stages: [LayerChain] = []
    var parameterCounts: [Int] = []
    var shape = description.inputShape
    for group in try Self.groups(description, batchSize: batchSize) {
      let first = builder.layout.tensors.count
      stages.append(try LayerChain(group, inputShape: shape, in: &builder))
      shape = stages[stages.count - 1].outputShape
      parameterCounts.append(
        optimizer.rule == .sgd ? 0 : builder.layout.tensors[first...].reduce(0) { max($0, $1.region.count) })
    }
    guard shape.last == description.classCount else {
      throw .shape("the model \(description.name) ends with the shape \(shape), not with \(description.classCount) logits")
    }
    self.description = description
    layout = builder.layout
    self.batchSize = batchSize
    self.optimizer = optimizer
    self.stages = stages
    inputCount = description.inputShape.reduce(1, *)
    labelCount = shape.dropLast().reduce(1, *)
    classCount = description.classCount
    var counts = inputCount
    stageCosts = stages.map { stage in
      let outputs = stage.outputShape.reduce(1, *)
      defer { counts = outputs }
      return StageCost(
        forwardSeconds: 1, backwardSeconds: 2, inputCount: counts * batchSize, outputCount: outputs * batchSize,
        savedCount: stage.savedCount, forwardScratchCount: stage.forwardScratchCount,
        backwardScratchCount: stage.backwardScratchCount)
    }
    self.parameterCounts = parameterCounts
    let update = schedule ?? .keepingAll(stageCount: stages.count)
    program = NetworkProgram(Array(zip(stageCosts, parameterCounts)), schedule: isTrained ? update : nil)
  }

  /// What each stage's passes take, in memory; their times are only guessed. A stage is a layer with an output of its own
  /// and those that work on it in place.
  public let stageCosts: [StageCost]
  private let parameterCounts: [Int]

  /// Floats of one workspace.
  public var arenaCount: Int { program.arenaCount }

  /// The same network, trained in another order of passes. It gives the same bits.
  public func rescheduled(_ schedule: ActivationSchedule) throws(NetworkError) -> CompiledNetwork {
    try CompiledNetwork(description, batchSize: batchSize, optimizer: optimizer, schedule: schedule)
  }

  /// Floats that a workspace would have with another schedule.
  public func arenaCount(with schedule: ActivationSchedule) -> Int {
    NetworkProgram(Array(zip(stageCosts, parameterCounts)), schedule: schedule).arenaCount
  }

  /// The layers in groups: a layer with an output of its own, then those that work on it in place.
  private static func groups(
    _ description: NetworkDescription, batchSize: Int
  ) throws(NetworkError) -> [[(name: String, layer: any Layer)]] {
    var trial = NetworkBuilder(batchSize: batchSize)
    var groups: [[(name: String, layer: any Layer)]] = []
    var shape = description.inputShape
    for (name, layer) in description.layers {
      let placed = try trial.place(layer, named: name, inputShape: shape)
      shape = placed.outputShape
      if placed.memory.isInPlace, !groups.isEmpty {
        groups[groups.count - 1].append((name, layer))
      } else {
        groups.append([(name, layer)])
      }
    }
    return groups
  }

  /// Length of the training state, in floats: the network's tensors, then for each slot of the optimizer as much again,
  /// each parameter's at the same place.
  public var stateCount: Int { layout.count * (1 + optimizer.slotNames.count) }

  /// Everything a pass needs besides the state. Fill `inputs` and `labels` before a pass.
  public struct Workspace: ~Copyable, Sendable {
    fileprivate var arena: FloatBuffer
    fileprivate var inputRegion: Region
    fileprivate var inputCount: Int
    /// The classes of each example in turn, from 0.
    public var labels: [Int32]

    /// The first `rows` examples × input features.
    public func inputs(rows: Int) -> Matrix {
      arena.vector.part(inputRegion).matrix(rows: rows, columns: inputCount)
    }
  }

  /// - Parameter other: a network that uses the same memory at other times, after `take`.
  public func makeWorkspace(sharedWith other: CompiledNetwork? = nil) throws -> Workspace {
    let labels = max(batchSize * labelCount, other.map { $0.batchSize * $0.labelCount } ?? 0)
    return Workspace(
      arena: try FloatBuffer(count: max(arenaCount, other?.arenaCount ?? 0)), inputRegion: program.input,
      inputCount: inputCount, labels: [Int32](repeating: 0, count: labels))
  }

  /// Arranges a shared workspace for this network's passes. What was in it is lost.
  public func take(_ workspace: inout Workspace) {
    workspace.inputRegion = program.input
    workspace.inputCount = inputCount
  }

  /// One step of the optimizer on the full batch in `workspace`, for the gradient ∇L(θ) of the mean cross-entropy. Plain
  /// SGD updates each weight where its gradient arises, and stores none; other rules hold one parameter's gradient at a
  /// time.
  /// - Parameter position: how many updates the state has had before.
  public func update(
    _ state: inout StateBuffer, learningRate: Double, position: Int, context: PassContext,
    workspace: inout Workspace
  ) {
    let vector = state.vector
    run(vector, context: context, workspace: &workspace) {
      sink(vector, learningRate: learningRate, position: position, scratch: $0)
    }
  }

  /// Where an update's gradients go.
  /// - Parameter scratch: memory for that of one parameter, where the optimizer needs it whole.
  private func sink(_ state: Vector, learningRate: Double, position: Int, scratch: Vector) -> GradientSink {
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
    let sink = GradientSink.accumulate(in: gradient.vector, scale: 1, keep: 0)
    run(state.vector, context: context, workspace: &workspace) { _ in sink }
  }

  /// The mean loss L(θ) of the full batch in `workspace` as an update sees it. Buffers such as running statistics
  /// are changed as in training.
  public func trainingLoss(
    of state: inout StateBuffer, context: PassContext, workspace: inout Workspace
  ) -> Double {
    let logits = forward(state.vector, rows: batchSize, context: context, workspace: workspace)
    return SoftmaxCrossEntropy.evaluate(logits, labels: workspace.labels).lossSum / Double(logits.rows)
  }

  /// Loss and hits of the first `rows` examples in `workspace`, summed over their labels.
  public func evaluate(
    _ state: borrowing StateBuffer, rows: Int, workspace: inout Workspace
  ) -> (lossSum: Double, correct: Int) {
    let logits = forward(
      state.vector, rows: rows, context: PassContext(isTraining: false), workspace: workspace)
    return SoftmaxCrossEntropy.evaluate(logits, labels: workspace.labels)
  }

  /// The logits of the first `rows` examples in `workspace`: rows · labels × classes, valid until its next use.
  public func logits(
    _ state: borrowing StateBuffer, rows: Int, workspace: inout Workspace
  ) -> Matrix {
    forward(state.vector, rows: rows, context: PassContext(isTraining: false), workspace: workspace)
  }

  /// The same in any context. In training, buffers such as running statistics are changed.
  public func logits(
    _ state: inout StateBuffer, rows: Int, context: PassContext, workspace: inout Workspace
  ) -> Matrix {
    forward(state.vector, rows: rows, context: context, workspace: workspace)
  }

  /// Runs the forward passes up to the loss.
  /// - Returns: the logits, a row for each label.
  private func forward(
    _ state: Vector, rows: Int, context: PassContext, workspace: borrowing Workspace
  ) -> Matrix {
    let arena = workspace.arena.vector
    for step in program.steps {
      if step.kind == .loss { break }
      stages[step.stage].forward(
        input(of: step, rows: rows, in: arena), in: memory(of: step, state, rows: rows, in: arena),
        context: context.repeated(step.isRepeated))
    }
    return arena.part(program.logits).matrix(rows: rows * labelCount, columns: classCount)
  }

  /// Runs all passes of an update.
  /// - Parameter sink: where gradients go, given memory for that of one parameter.
  private func run(
    _ state: Vector, context: PassContext, workspace: inout Workspace, sink: (Vector) -> GradientSink
  ) {
    let arena = workspace.arena.vector
    for step in program.steps { perform(step, state, context: context, labels: workspace.labels, in: arena, sink: sink) }
  }

  private func perform(
    _ step: NetworkProgram.Step, _ state: Vector, context: PassContext, labels: [Int32], in arena: Vector,
    sink: (Vector) -> GradientSink
  ) {
    let memory = memory(of: step, state, rows: batchSize, in: arena)
    let gradient = arena.part(step.outputGradient)
    switch step.kind {
    case .forward:
      stages[step.stage].forward(
        input(of: step, rows: batchSize, in: arena), in: memory, context: context.repeated(step.isRepeated))
    case .loss:
      SoftmaxCrossEntropy.writeGradient(
        of: memory.output.rearranged(columns: classCount), labels: labels,
        to: gradient.matrix(rows: batchSize * labelCount, columns: classCount))
    case .backward:
      let input = input(of: step, rows: batchSize, in: arena)
      stages[step.stage].backward(
        input, outputGradient: gradient.matrix(rows: batchSize, columns: memory.output.columns),
        inputGradient: step.inputGradient.map { arena.part($0).matrix(rows: batchSize, columns: input.columns) },
        to: sink(arena.part(step.parameterGradient)), in: memory, context: context)
    }
  }

  /// The stages' costs with times measured on the batch in `workspace`: the least of each pass's times.
  /// - Parameters:
  ///   - state: its slots and buffers are changed, as by updates with a learning rate of zero.
  ///   - repetitions: updates after a first one, which also pays for touching memory.
  public func measuredCosts(
    _ state: inout StateBuffer, context: PassContext, workspace: inout Workspace, repetitions: Int = 2
  ) -> [StageCost] {
    let clock = ContinuousClock()
    let arena = workspace.arena.vector
    let vector = state.vector
    var costs = stageCosts
    for index in costs.indices { (costs[index].forwardSeconds, costs[index].backwardSeconds) = (.infinity, .infinity) }
    for _ in 0...repetitions {
      for step in program.steps {
        let seconds = clock.measure {
          perform(step, vector, context: context, labels: workspace.labels, in: arena) {
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

  private func memory(
    of step: NetworkProgram.Step, _ state: Vector, rows: Int, in arena: Vector
  ) -> LayerChain.Memory {
    LayerChain.Memory(
      state: state, saved: arena.part(step.saved), scratch: arena.part(step.scratch),
      output: arena.part(step.output).matrix(rows: rows, columns: stageCosts[step.stage].outputCount / batchSize))
  }
}
