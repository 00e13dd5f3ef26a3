/// One step of an update or an evaluation, with the places of what it reads and writes: blocks of memory, or, once these have been
/// given theirs, regions of an arena.
struct PassStep<Place: Sendable>: Sendable {
  let kind: PassKind
  let stage: Int
  /// Whether the forward pass of the same stage came before.
  let isRepeated: Bool
  /// What the stage reads: one place, or two where it adds them up. Nil where a backward pass does not read it.
  var inputs: [Place?] = []
  var output: Place?
  var saved: Place?
  var scratch: Place?
  /// In backward passes and the loss, the gradient by the output.
  var outputGradient: Place?
  /// In backward passes, a copy of `outputGradient` to overwrite, where something else still needs the gradient itself.
  var gradientCopy: Place?
  /// In backward passes, the gradient by the input. Nil where nobody needs it, and for a sum, which hands on its output's.
  var inputGradient: Place?
  /// The gradients by the input that other stages have handed back, which are added to `inputGradient` in their order.
  var addends: [Place] = []
  /// In backward passes, room for the gradient of one parameter, where the optimizer needs it whole.
  var parameterGradient: Place?
  /// The activations that the step needs and that wait in 16 bits, with where they are put in 32.
  var unpackings: [Unpacking] = []
  /// Whether the output is rounded to 16 bits, and where it then waits for those who read it later; nil where nobody does.
  var isRounded = false
  var packed: Place?

  struct Unpacking {
    let half: Place
    let whole: Place
  }

  func map<Other>(_ place: (Place) -> Other) -> PassStep<Other> {
    PassStep<Other>(
      kind: kind, stage: stage, isRepeated: isRepeated, inputs: inputs.map { $0.map(place) }, output: output.map(place),
      saved: saved.map(place), scratch: scratch.map(place), outputGradient: outputGradient.map(place),
      gradientCopy: gradientCopy.map(place), inputGradient: inputGradient.map(place), addends: addends.map(place),
      parameterGradient: parameterGradient.map(place),
      unpackings: unpackings.map { PassStep<Other>.Unpacking(half: place($0.half), whole: place($0.whole)) }, isRounded: isRounded,
      packed: packed.map(place))
  }
}

enum PassKind: Sendable {
  case forward
  case loss
  case backward
}

/// The blocks of memory that the passes of a schedule use, and the steps during which each of them is in use.
///
/// A block lives from the step that makes it to the last that uses it, so how much is kept between forward and backward passes
/// follows from the order of the passes alone.
struct PassBlocks {
  private(set) var steps: [PassStep<Int>] = []
  private(set) var lifetimes: [Lifetime] = []
  /// The block of the input.
  let input: Int
  private let graph: StageGraph
  /// The block in which each activation waits, as the last forward pass of its stage left it.
  private var activations: [Int?]
  /// The blocks in 32 bits of activations that wait in 16, as long as the last step used them.
  private var wholes: [Int: Int] = [:]
  /// Those of the step to come.
  private var nextWholes: [Int: Int] = [:]
  private var saved: [Int?]
  /// The gradients by each activation that stages have handed back, in their order, and how often a block is among them.
  private var gradients: [[Int]]
  private var holders: [Int: Int] = [:]
  private var hasRun: [Bool]
  /// The first stage that reads each activation, which is the last to hand back a gradient by it.
  private let firstReaders: [Int]

  /// - Parameters:
  ///   - schedule: the order of an update's passes; nil for an evaluation, which runs each stage forward once.
  ///   - inputHasGradient: whether the gradient by the input is wanted, as in a part of a network that is not its first.
  ///   - keepsInput: whether the input is kept until the end, as the caller's of a whole network is.
  init(
    _ graph: StageGraph, schedule: ActivationSchedule?, inputHasGradient: Bool = false, keepsInput: Bool = true
  ) {
    let stages = graph.stages
    self.graph = graph
    activations = Array(repeating: nil, count: stages.count + 1)
    saved = Array(repeating: nil, count: stages.count)
    gradients = Array(repeating: [], count: stages.count + 1)
    hasRun = Array(repeating: false, count: stages.count)
    var firstReaders = Array(repeating: -1, count: stages.count + 1)
    for (index, stage) in stages.enumerated().reversed() { for input in stage.inputs { firstReaders[input] = index } }
    self.firstReaders = firstReaders
    lifetimes = [Lifetime(count: graph.keptCount(0), steps: 0...0)]
    input = 0
    activations[0] = input
    for pass in schedule?.passes ?? stages.indices.map({ .forward($0) }) {
      switch pass {
      case .forward(let stage):
        forward(stage, stages[stage])
        if stage == stages.count - 1, gradients[stages.count].isEmpty {
          loss(stage, count: schedule == nil ? 0 : stages[stage].cost.outputCount)
        }
      case .backward(let stage): backward(stage, stages[stage], inputHasGradient: inputHasGradient)
      }
    }
    if keepsInput { lifetimes[input].steps = 0...(steps.count - 1) }
    // What only the next step read has not waited.
    for index in steps.indices {
      guard let packed = steps[index].packed, lifetimes[packed].steps == index...index else { continue }
      steps[index].packed = nil
      lifetimes[packed] = Lifetime(count: 0, steps: index...index)
    }
  }

  /// The block of the last stage's output.
  var output: Int { activations[activations.count - 1] ?? input }

  private mutating func block(_ count: Int) -> Int? {
    guard count > 0 else { return nil }
    lifetimes.append(Lifetime(count: count, steps: steps.count...steps.count))
    return lifetimes.count - 1
  }

  /// Says that the step to come uses a block, or the last step where there is none to come.
  private mutating func use(_ block: Int?) {
    guard let block else { return }
    lifetimes[block].steps = lifetimes[block].steps.lowerBound...max(lifetimes[block].steps.upperBound, steps.count)
  }

  private mutating func append(_ step: PassStep<Int>) {
    for block in step.inputs + step.addends { use(block) }
    for unpacking in step.unpackings { use(unpacking.half) }
    for block in [
      step.output, step.saved, step.scratch, step.outputGradient, step.gradientCopy, step.inputGradient, step.parameterGradient,
      step.packed,
    ] { use(block) }
    steps.append(step)
    (wholes, nextWholes) = (nextWholes, [:])
  }

  /// The block in which the step to come reads an activation in 32 bits; nil where the activation is not there.
  private mutating func read(_ activation: Int, in step: inout PassStep<Int>) -> Int? {
    guard let kept = activations[activation] else { return nil }
    guard graph.isHalf[activation] else { return kept }
    let whole = wholes[activation] ?? nextWholes[activation] ?? block(graph.count(activation))
    if let whole, wholes[activation] == nil, nextWholes[activation] == nil {
      step.unpackings.append(PassStep<Int>.Unpacking(half: kept, whole: whole))
    }
    nextWholes[activation] = whole
    return whole
  }

  private mutating func forward(_ index: Int, _ stage: StageGraph.Stage) {
    var step = PassStep<Int>(kind: .forward, stage: index, isRepeated: hasRun[index])
    step.inputs = stage.inputs.map { read($0, in: &step) }
    precondition(step.inputs.allSatisfy { $0 != nil }, "stage \(index) runs before its inputs are made")
    if stage.takesInputPlace {
      step.output = step.inputs[0]
      activations[stage.inputs[0]] = nil
      nextWholes[stage.inputs[0]] = nil
    } else {
      step.output = block(stage.cost.outputCount)
    }
    step.saved = block(stage.cost.savedCount)
    step.scratch = block(stage.cost.forwardScratchCount)
    if graph.isHalf[index + 1] {
      step.isRounded = true
      step.packed = block(graph.keptCount(index + 1))
      nextWholes[index + 1] = step.output
    }
    (activations[index + 1], saved[index], hasRun[index]) = (step.packed ?? step.output, step.saved, true)
    append(step)
  }

  private mutating func loss(_ index: Int, count: Int) {
    var step = PassStep<Int>(kind: .loss, stage: index, isRepeated: false)
    step.output = activations[index + 1]
    step.outputGradient = block(count)
    if let gradient = step.outputGradient { hand(gradient, to: index + 1) }
    append(step)
  }

  private mutating func backward(_ index: Int, _ stage: StageGraph.Stage, inputHasGradient: Bool) {
    var step = PassStep<Int>(kind: .backward, stage: index, isRepeated: false)
    step.inputs = stage.inputs.map { stage.readsInput && !stage.isSum ? read($0, in: &step) : nil }
    step.output = stage.readsOutput ? read(index + 1, in: &step) : nil
    step.saved = saved[index]
    precondition(
      hasRun[index] && gradients[index + 1].count == 1, "stage \(index) goes back before it has run, or before the stages behind it")
    let gradient = gradients[index + 1].removeLast()
    let isShared = holders[gradient, default: 0] > 1
    holders[gradient, default: 0] -= 1
    step.outputGradient = gradient
    if isShared, stage.overwritesGradient { step.gradientCopy = block(stage.cost.outputCount) }
    for activation in stage.inputs where activation > 0 || inputHasGradient {
      guard !stage.isSum else {
        hand(step.gradientCopy ?? gradient, to: activation)
        continue
      }
      let own = block(stage.cost.inputCount)
      step.inputGradient = own
      // The last stage to hand back a gradient adds them up, beginning with its own.
      if firstReaders[activation] == index {
        step.addends = gradients[activation].reversed()
        for other in step.addends { holders[other, default: 0] -= 1 }
        gradients[activation] = []
      }
      if let own { hand(own, to: activation) }
    }
    step.scratch = block(stage.cost.backwardScratchCount)
    step.parameterGradient = block(stage.parameterGradientCount)
    append(step)
  }

  private mutating func hand(_ gradient: Int, to activation: Int) {
    gradients[activation].append(gradient)
    holders[gradient, default: 0] += 1
  }
}

extension PassBlocks {
  /// The floats in use at each step.
  /// - Parameter excluded: blocks that are not counted.
  func floatsInUse(without excluded: [Int] = []) -> [Int] {
    var changes = Array(repeating: 0, count: steps.count + 2)
    for (index, block) in lifetimes.enumerated() where !excluded.contains(index) {
      changes[block.steps.lowerBound] += block.count
      changes[block.steps.upperBound + 1] -= block.count
    }
    var sum = 0
    return changes.prefix(steps.count).map {
      sum += $0
      return sum
    }
  }
}

extension ActivationSchedule {
  /// The most floats that its passes have in use at once, besides the network's input.
  package func floatsInUse(_ graph: StageGraph) -> Int {
    let blocks = PassBlocks(graph, schedule: self)
    return blocks.floatsInUse(without: [blocks.input]).reduce(0, max)
  }
}
