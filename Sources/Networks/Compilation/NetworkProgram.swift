import Tensors

/// The passes of an update, or of an evaluation, with every block of memory they need at its place in one arena.
struct NetworkProgram: Sendable {
  struct Step: Sendable {
    enum Kind: Sendable {
      case forward
      case loss
      case backward
    }

    let kind: Kind
    let stage: Int
    /// Whether the forward pass of the same stage came before.
    let isRepeated: Bool
    fileprivate(set) var input = Region(offset: 0, count: 0)
    fileprivate(set) var output = Region(offset: 0, count: 0)
    fileprivate(set) var saved = Region(offset: 0, count: 0)
    fileprivate(set) var scratch = Region(offset: 0, count: 0)
    /// In backward passes and the loss, the gradient by the output.
    fileprivate(set) var outputGradient = Region(offset: 0, count: 0)
    /// In backward passes, the gradient by the input; nil for the first stage, whose input has none.
    fileprivate(set) var inputGradient: Region?
    /// In backward passes, room for the gradient of one parameter, where the optimizer needs it whole.
    fileprivate(set) var parameterGradient = Region(offset: 0, count: 0)
  }

  let steps: [Step]
  /// The place of the network's input in the arena.
  let input: Region
  /// The place of its output.
  let outputs: Region
  /// Length of the arena, in floats.
  let arenaCount: Int

  /// - Parameters:
  ///   - stages: what each takes, and the length of its largest parameter, in floats, if the optimizer needs gradients whole.
  ///   - schedule: the order of an update's passes; nil for an evaluation, which runs each stage forward once.
  init(_ stages: [(cost: StageCost, parameterCount: Int)], schedule: ActivationSchedule?) {
    var blocks = BlockList()
    let inputBlock = blocks.add(stages[0].cost.inputCount, at: 0)
    /// The blocks that hold each activation (by the stage that reads it), what each stage saved, and each gradient of an
    /// activation at the moment.
    var activations = [inputBlock] + Array(repeating: -1, count: stages.count)
    var saved = Array(repeating: -1, count: stages.count)
    var gradients = Array(repeating: -1, count: stages.count + 1)
    var steps: [(step: Step, uses: [(WritableKeyPath<Step, Region>, Int)], inputGradient: Int?)] = []
    var hasRun = Array(repeating: false, count: stages.count)

    func append(_ kind: Step.Kind, _ stage: Int, _ uses: [(WritableKeyPath<Step, Region>, Int)], _ inputGradient: Int? = nil) {
      for (_, block) in uses { blocks.use(block, at: steps.count) }
      if let inputGradient { blocks.use(inputGradient, at: steps.count) }
      steps.append((Step(kind: kind, stage: stage, isRepeated: kind == .forward && hasRun[stage]), uses, inputGradient))
    }
    for pass in schedule?.passes ?? stages.indices.map({ .forward($0) }) {
      let now = steps.count
      switch pass {
      case .forward(let stage):
        let cost = stages[stage].cost
        activations[stage + 1] = blocks.add(cost.outputCount, at: now)
        saved[stage] = blocks.add(cost.savedCount, at: now)
        append(
          .forward, stage,
          [
            (\.input, activations[stage]), (\.output, activations[stage + 1]), (\.saved, saved[stage]),
            (\.scratch, blocks.add(cost.forwardScratchCount, at: now)),
          ])
        hasRun[stage] = true
        guard stage == stages.count - 1 else { continue }
        gradients[stage + 1] = schedule == nil ? blocks.add(0, at: now + 1) : blocks.add(cost.outputCount, at: now + 1)
        append(.loss, stage, [(\.output, activations[stage + 1]), (\.outputGradient, gradients[stage + 1])])
      case .backward(let stage):
        let cost = stages[stage].cost
        gradients[stage] = stage == 0 ? -1 : blocks.add(cost.inputCount, at: now)
        append(
          .backward, stage,
          [
            (\.input, activations[stage]), (\.output, activations[stage + 1]), (\.saved, saved[stage]),
            (\.outputGradient, gradients[stage + 1]), (\.scratch, blocks.add(cost.backwardScratchCount, at: now)),
            (\.parameterGradient, blocks.add(stages[stage].parameterCount, at: now)),
          ], stage == 0 ? nil : gradients[stage])
      }
    }
    // The input belongs to the caller, who may use it again.
    blocks.use(inputBlock, at: steps.count - 1)
    let packing = ArenaPacking(blocks.lifetimes)
    self.steps = steps.map { step, uses, inputGradient in
      var step = step
      for (path, block) in uses { step[keyPath: path] = packing.regions[block] }
      step.inputGradient = inputGradient.map { packing.regions[$0] }
      return step
    }
    input = packing.regions[inputBlock]
    outputs = packing.regions[activations[stages.count]]
    arenaCount = packing.count
  }
}

/// Blocks whose lifetimes grow as they are used.
private struct BlockList {
  private(set) var lifetimes: [Lifetime] = []

  mutating func add(_ count: Int, at step: Int) -> Int {
    lifetimes.append(Lifetime(count: count, steps: step...step))
    return lifetimes.count - 1
  }

  mutating func use(_ block: Int, at step: Int) {
    lifetimes[block].steps = lifetimes[block].steps.lowerBound...step
  }
}
