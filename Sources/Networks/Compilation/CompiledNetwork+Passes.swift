import Tensors

extension CompiledNetwork {
  /// One step of the optimizer on the full batch in `workspace`, for the gradient ∇L(θ) of the mean loss. Plain
  /// SGD updates each weight where its gradient arises, and stores none; other rules hold one parameter's gradient at a
  /// time.
  ///
  /// In micro-batches, the workspace holds the examples of one of them, there is a call for each in their order, and the last one makes
  /// the step.
  /// - Parameters:
  ///   - state: the training state, which the step changes.
  ///   - learningRate: η of this update.
  ///   - position: how many updates the state has had before.
  ///   - context: seed and batch, from which layers draw random numbers, and what kind of pass it is.
  ///   - workspace: holds the batch, or the micro-batch.
  ///   - part: the micro-batch; nil where the batch is whole.
  public func update(
    _ state: inout StateBuffer, learningRate: Double, position: Int, context: PassContext,
    workspace: inout Workspace, part: MicroBatch? = nil
  ) throws(PagingError) {
    let part = checked(part)
    let vector = state.mutableVector
    let sums = gradientSums(of: part, in: &workspace)
    try run(pass(part, context, of: vector, state.pager, sums), workspace: &workspace) {
      sink(vector, learningRate: learningRate, position: position, scratch: $0)
    }
  }

  /// The same, and the mean loss of the batch as the step sees it: of the state before it, and with what layers draw at random. That takes
  /// no pass of its own.
  /// - Returns: the mean loss after the last micro-batch; before that it means nothing.
  public func updateMeasuringLoss(
    _ state: inout StateBuffer, learningRate: Double, position: Int, context: PassContext,
    workspace: inout Workspace, part: MicroBatch? = nil
  ) throws(PagingError) -> Double {
    let part = checked(part)
    if part.isFirst { workspace.lossSum = 0 }
    try update(&state, learningRate: learningRate, position: position, context: context, workspace: &workspace, part: part)
    let sum = workspace.lossSum ?? 0
    if part.isLast { workspace.lossSum = nil }
    return mean(ofSum: sum)
  }

  /// The mean loss of a batch.
  /// - Parameter sum: the sum of the terms of all its predictions' losses.
  private func mean(ofSum sum: Double) -> Double {
    sum / Double(loss.termCount(outputs: outputCount)) / Double(batchSize * predictionCount)
  }

  /// The sums of gradients over micro-batches; nil where the batch is whole.
  func gradientSums(of part: MicroBatch, in workspace: inout Workspace) -> GradientSums? {
    guard gradientSumCount > 0 else { return nil }
    return GradientSums(
      buffer: workspace.gradientSums.mutableVector, origin: deferred?.tensorEnd ?? 0, pager: workspace.gradientSums.pager, part: part)
  }

  /// The micro-batch, or the whole batch where none is given.
  private func checked(_ part: MicroBatch?) -> MicroBatch {
    precondition(part != nil || microBatchCount == 1, "a network for micro-batches takes one of them at a time")
    return part ?? microBatch(0)
  }

  /// Where an update's gradients go.
  /// - Parameter scratch: memory for that of one parameter, where the optimizer needs it whole.
  func sink(
    _ state: MutableVector, learningRate: Double, position: Int, scratch: MutableVector
  ) -> GradientSink.Destination {
    if optimizer.rule == .sgd {
      let lambda: Double =
        switch optimizer.weightDecay { case .l2(let lambda), .decoupled(let lambda): lambda }
      return .accumulate(in: state, scale: Float(-learningRate), keep: Float(1 - learningRate * lambda))
    }
    let step = OptimizerStep(
      rule: optimizer.rule, weightDecay: optimizer.weightDecay, learningRate: learningRate, position: position,
      slots: slots)
    return .step(step, state: state, scratch: scratch)
  }

  /// ∇L(θ) of the full batch in `workspace`, laid out like the network's tensors; in micro-batches, after the last of them. Buffers such
  /// as running statistics are changed as in training.
  /// - Parameters:
  ///   - gradient: a buffer in memory, as long as the state or as the network's tensors.
  ///   - part: the micro-batch; nil where the batch is whole.
  public func gradient(
    of state: inout StateBuffer, into gradient: inout StateBuffer, context: PassContext,
    workspace: inout Workspace, part: MicroBatch? = nil
  ) throws(PagingError) {
    let part = checked(part)
    let buffer = gradient.mutableVector
    let sums = microBatchCount == 1 ? nil : GradientSums(buffer: buffer, origin: 0, pager: nil, part: part, isDestination: true)
    try run(pass(part, context, of: state.mutableVector, state.pager, sums), workspace: &workspace) { _ in
      .accumulate(in: buffer, scale: 1, keep: 0)
    }
  }

  /// The mean loss L(θ) of the full batch in `workspace` as an update sees it. Buffers such as running statistics
  /// are changed as in training.
  public func trainingLoss(
    of state: inout StateBuffer, context: PassContext, workspace: inout Workspace
  ) throws(PagingError) -> Double {
    var sum = 0.0
    return try trainingLoss(of: &state, context: context, workspace: &workspace, part: checked(nil), sum: &sum)
  }

  /// The same in micro-batches, whose losses are added to `sum` one after the other.
  /// - Parameter sum: 0 before the first micro-batch, and to be left alone until the last.
  /// - Returns: the mean loss of the batch after the last micro-batch; before that it means nothing.
  public func trainingLoss(
    of state: inout StateBuffer, context: PassContext, workspace: inout Workspace, part: MicroBatch, sum: inout Double
  ) throws(PagingError) -> Double {
    let outputs = try forward(
      state.vector, pager: state.pager, buffers: state.mutableVector, rows: part.examples.count,
      context: context.starting(at: part.examples.lowerBound), workspace: &workspace)
    if let head {
      head.loss.sum(over: workspace.statistics, predictions: part.examples.count * predictionCount, into: &sum)
    } else {
      loss.sum(over: outputs, workspace.targets, into: &sum)
    }
    return mean(ofSum: sum)
  }

  /// Adds the first `rows` examples in `workspace`, evaluated on a borrowed state, to a measurement, and ends its batches: outputs of
  /// finite states are the same bits whatever the other rows are, and however many.
  /// - Parameters:
  ///   - first: how many examples the measurement has had before.
  ///   - batchSize: how many examples a batch of the measurement has; nil where the caller ends batches.
  public func evaluate(
    _ state: borrowing StateBuffer, rows: Int, from first: Int = 0, ofBatches batchSize: Int? = nil, workspace: inout Workspace,
    into measurement: inout Measurement
  ) throws(PagingError) {
    let batch = batchSize.map { $0 * predictionCount }
    guard let head else {
      let outputs = try outputs(state, rows: rows, workspace: &workspace)
      return add(outputs, from: 0, of: &workspace, behind: first * predictionCount, ofBatches: batch, to: &measurement)
    }
    precondition(head.partPredictions > 0, "a network whose head makes some classes at once is for updates; see forEvaluation")
    let arena = workspace.arena.mutableVector
    let context = PassContext(isTraining: false).computing(products)
    let (vector, pager) = (state.vector, state.pager)
    try forEachStep(before: .loss, holding: StateHold(pager, accesses.last)) { step throws(PagingError) in
      guard step.stage == stages.count - 1 else {
        return try forward(
          step, vector, pager: pager, buffers: nil, rows: rows, context: context, in: arena, targets: workspace.targets,
          statistics: &workspace.statistics)
      }
      let input = matrix(step.inputs[0], of: graph.stages[step.stage].inputs[0], rows: rows, in: arena)
        .rearranged(columns: head.layer.width)
      for first in stride(from: 0, to: input.rows, by: head.partPredictions) {
        let part = first..<min(first + head.partPredictions, input.rows)
        let logits = floats(step.output, of: arena).matrix(rows: part.count, columns: outputCount)
        try head.layer.forward(
          ForwardPass(
            input: input.rows(part).matrix, output: logits, saved: floats(nil, of: arena), scratch: floats(nil, of: arena),
            context: context, state: vector, buffers: nil, pager: pager))
        add(
          logits.matrix, from: part.lowerBound, of: &workspace, behind: first * predictionCount, ofBatches: batch, to: &measurement)
      }
    }
  }

  /// Adds outputs to a measurement, and ends its batches.
  /// - Parameters:
  ///   - prediction: the place of the first of them among the predictions in the workspace.
  ///   - earlier: how many predictions the measurement had before those in the workspace.
  ///   - batch: how many a batch has; nil for one that the caller ends.
  private func add(
    _ outputs: Matrix, from prediction: Int, of workspace: inout Workspace, behind earlier: Int, ofBatches batch: Int?,
    to measurement: inout Measurement
  ) {
    var row = 0
    while row < outputs.rows {
      let place = earlier + prediction + row
      let count = min(outputs.rows - row, batch.map { $0 - place % $0 } ?? .max)
      if prediction + row == 0 {
        measurement.add(outputs.rows(0..<count), workspace.targets)
      } else {
        let width = loss.targetCount(outputs: outputCount)
        workspace.partTargets.copy(from: workspace.targets, startingAt: (prediction + row) * width, count: count * width)
        measurement.add(outputs.rows(row..<row + count), workspace.partTargets)
      }
      row += count
      if let batch, (place + count).isMultiple(of: batch) { measurement.endBatch() }
    }
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
    let context = context.computing(products)
    try forEachStep(before: .loss, holding: StateHold(pager, accesses.last)) { step throws(PagingError) in
      try forward(
        step, state, pager: pager, buffers: buffers, rows: rows, context: context, in: arena, targets: workspace.targets,
        statistics: &workspace.statistics)
    }
    let columns = head == nil ? outputCount : 1
    return arena.vector.part(program.outputs).matrix(rows: rows * predictionCount, columns: columns)
  }

  /// What the passes of a micro-batch, forward and back, work on besides the workspace.
  struct MicroBatchPass {
    let part: MicroBatch
    let context: PassContext
    let state: MutableVector
    /// That of the state; nil where all of it is in memory.
    let pager: Pager?
    /// The sums of gradients over the micro-batches; nil where the batch is whole.
    let sums: GradientSums?
  }

  func pass(
    _ part: MicroBatch, _ context: PassContext, of state: MutableVector, _ pager: Pager?, _ sums: GradientSums?
  ) -> MicroBatchPass {
    MicroBatchPass(
      part: part, context: context.computing(products).starting(at: part.examples.lowerBound), state: state, pager: pager,
      sums: sums)
  }

  /// Runs all passes of a micro-batch.
  /// - Parameters:
  ///   - timed: takes the time of each step in seconds.
  ///   - sink: where gradients go, given memory for that of one parameter.
  func run(
    _ pass: MicroBatchPass, workspace: inout Workspace,
    timed: ((PassStep<Region>, Double) -> Void)? = nil, sink: (MutableVector) -> GradientSink.Destination
  ) throws(PagingError) {
    let arena = workspace.arena.mutableVector
    try forEachStep(
      holding: StateHold(pass.pager, pass.part.isLast ? accesses.last : accesses.earlier),
      StateHold(pass.sums?.pager, accesses.sums, isOverwriting: pass.part.isFirst)
    ) { step throws(PagingError) in
      guard let timed else { return try perform(step, of: pass, in: arena, workspace: &workspace, sink: sink) }
      let begin = ContinuousClock.now
      try perform(step, of: pass, in: arena, workspace: &workspace, sink: sink)
      timed(step, (.now - begin) / .seconds(1))
    }
  }

  /// Calls `body` with one step after the other, while what it needs of the state is in memory.
  /// - Parameters:
  ///   - end: the kind of step to stop before; nil for all steps.
  ///   - state: holds what steps need of the state.
  ///   - sums: holds what they need of the sums of gradients.
  func forEachStep(
    before end: PassKind? = nil, holding state: consuming StateHold, _ sums: consuming StateHold = StateHold(nil, []),
    _ body: (PassStep<Region>) throws(PagingError) -> Void
  ) throws(PagingError) {
    do throws(PagingError) {
      for (index, step) in program.steps.enumerated() {
        if step.kind == end { break }
        try state.hold(for: index)
        try sums.hold(for: index)
        try body(step)
      }
    } catch {
      try? state.releaseAll()
      try? sums.releaseAll()
      throw error
    }
    do throws(PagingError) { try state.releaseAll() } catch {
      try? sums.releaseAll()
      throw error
    }
    try sums.releaseAll()
  }

  private func perform(
    _ step: PassStep<Region>, of pass: MicroBatchPass, in arena: MutableVector, workspace: inout Workspace,
    sink: (MutableVector) -> GradientSink.Destination
  ) throws(PagingError) {
    let rows = pass.part.examples.count
    switch step.kind {
    case .forward:
      try forward(
        step, pass.state.vector, pager: pass.pager, buffers: pass.state, rows: rows, context: pass.context, in: arena,
        targets: workspace.targets, statistics: &workspace.statistics)
    case .loss:
      // A head in parts goes back through the loss itself.
      if let head {
        if var sum = workspace.lossSum {
          head.loss.sum(over: workspace.statistics, predictions: rows * predictionCount, into: &sum)
          workspace.lossSum = sum
        }
        return
      }
      let outputs = matrix(step.output, of: step.stage + 1, rows: rows, in: arena)
      if var sum = workspace.lossSum {
        loss.sum(over: outputs.matrix.rearranged(columns: outputCount), workspace.targets, into: &sum)
        workspace.lossSum = sum
      }
      let gradient = matrix(step.outputGradient, of: step.stage + 1, rows: rows, in: arena)
      loss.writeGradient(
        of: outputs.matrix.rearranged(columns: outputCount), workspace.targets, predictions: batchSize * predictionCount,
        to: gradient.rearranged(columns: outputCount))
    case .backward:
      try backward(step, of: pass, in: arena, workspace: &workspace, sink: sink)
    }
  }

  private func forward(
    _ step: PassStep<Region>, _ state: Vector, pager: Pager?, buffers: MutableVector?, rows: Int, context: PassContext,
    in arena: MutableVector, targets: Targets, statistics: inout [LogitStatistics]
  ) throws(PagingError) {
    unpack(step, in: arena)
    defer { round(step, in: arena) }
    let inputs = graph.stages[step.stage].inputs
    let input = matrix(step.inputs[0], of: inputs[0], rows: rows, in: arena)
    let output = matrix(step.output, of: step.stage + 1, rows: rows, in: arena)
    switch stages[step.stage].work {
    case .layers(let layers):
      let pass = ForwardPass(
        input: input.matrix, output: output, saved: floats(step.saved, of: arena), scratch: floats(step.scratch, of: arena),
        context: context.repeated(step.isRepeated), state: state,
        buffers: context.isTraining && !step.isRepeated ? buffers : nil, pager: pager)
      if let head, step.stage == stages.count - 1 {
        try head.gather(input.rearranged(columns: head.layer.width).matrix, targets: targets, into: &statistics, pass)
      } else {
        try layers.forward(pass)
      }
    case .sum(let isRectified):
      if !graph.stages[step.stage].takesInputPlace { output.elements.copy(from: input.elements.vector) }
      output.elements.add(matrix(step.inputs[1], of: inputs[1], rows: rows, in: arena).elements.vector)
      if isRectified { output.elements.rectify() }
    }
  }

  private func backward(
    _ step: PassStep<Region>, of run: MicroBatchPass, in arena: MutableVector, workspace: inout Workspace,
    sink: (MutableVector) -> GradientSink.Destination
  ) throws(PagingError) {
    unpack(step, in: arena)
    let (part, state, pager) = (run.part, run.state.vector, run.pager)
    let rows = part.examples.count
    let activation = graph.stages[step.stage].inputs[0]
    let output = matrix(step.output, of: step.stage + 1, rows: rows, in: arena)
    var gradient = matrix(step.outputGradient, of: step.stage + 1, rows: rows, in: arena)
    if step.gradientCopy != nil {
      let copy = matrix(step.gradientCopy, of: step.stage + 1, rows: rows, in: arena)
      copy.elements.copy(from: gradient.elements.vector)
      gradient = copy
    }
    let inputGradient = step.inputGradient.map { matrix($0, of: activation, rows: rows, in: arena) }
    switch stages[step.stage].work {
    case .layers(let layers):
      let input = matrix(step.inputs[0], of: activation, rows: rows, in: arena)
      let tied = self.tied.isEmpty ? nil : TiedGradients(
        parameters: self.tied, buffer: workspace.tiedGradients.mutableVector,
        pager: workspace.tiedGradients.pager, isLast: !stages[step.stage].tensors.isEmpty,
        isBegun: !stages[step.stage].tensors.isEmpty || !part.isFirst)
      if let deferred, step.stage == DeferredStage.stage {
        let buffer = workspace.deferred.mutableVector
        deferred.keep(input.matrix, gradient.matrix, of: part, in: buffer, batchSize: batchSize)
        guard part.isLast else { return }
        let whole = deferred.parts(buffer, batchSize: batchSize)
        let none = floats(nil, of: arena)
        return try layers.backward(
          BackwardPass(
            input: whole.inputs.matrix, output: whole.gradients.matrix, outputGradient: whole.gradients, inputGradient: nil,
            saved: none.vector, scratch: none, context: run.context.starting(at: 0), state: state,
            pager: pager, sink: GradientSink(destination: sink(whole.parameterGradient), sums: nil, tied: tied)))
      }
      let pass = BackwardPass(
        input: input.matrix, output: output.matrix, outputGradient: gradient, inputGradient: inputGradient,
        saved: floats(step.saved, of: arena).vector, scratch: floats(step.scratch, of: arena),
        context: run.context, state: state, pager: pager,
        sink: GradientSink(destination: sink(floats(step.parameterGradient, of: arena)), sums: run.sums, tied: tied))
      if let head, step.stage == stages.count - 1 {
        let width = head.layer.width
        try head.backward(
          input.rearranged(columns: width).matrix, targets: workspace.targets, workspace.statistics,
          inputGradient: inputGradient?.rearranged(columns: width), pass)
      } else {
        try layers.backward(pass)
      }
    case .sum(let isRectified):
      if isRectified { gradient.elements.keep(where: output.elements.vector) }
    }
    for addend in step.addends {
      inputGradient?.elements.add(matrix(addend, of: activation, rows: rows, in: arena).elements.vector)
    }
  }

  /// Brings activations that wait in 16 bits to where the step reads them.
  private func unpack(_ step: PassStep<Region>, in arena: MutableVector) {
    for unpacking in step.unpackings { arena.part(unpacking.whole).unpackBfloat16(arena.part(unpacking.half).vector) }
  }

  /// Rounds the step's output where it is kept in 16 bits, and keeps it for those who read it later.
  private func round(_ step: PassStep<Region>, in arena: MutableVector) {
    guard step.isRounded, let output = step.output else { return }
    arena.part(output).roundToBfloat16()
    if let packed = step.packed { arena.part(packed).packBfloat16(arena.part(output).vector) }
  }

  /// An activation, or a gradient by it: examples × numbers of one.
  /// - Parameter region: its place; nil where it is not there and nobody reads it. Then the matrix has the right shape only.
  private func matrix(_ region: Region?, of activation: Int, rows: Int, in arena: MutableVector) -> MutableMatrix {
    let columns = activation == 0 ? inputCount : graph.stages[activation - 1].cost.outputCount / microBatchSize
    return arena.part(region ?? Region(offset: 0, count: rows * columns)).matrix(rows: rows, columns: columns)
  }

  private func floats(_ region: Region?, of arena: MutableVector) -> MutableVector {
    arena.part(region ?? Region(offset: 0, count: 0))
  }
}
