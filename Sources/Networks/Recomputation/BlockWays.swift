/// A block of a network's stages as the planner sees it: what its passes take, and the ways to keep less of what they make.
///
/// Within a block, shortcuts stay alive beside what runs between their ends. A way keeps what some of the stages made, output and saved
/// memory, from the block's forward to its backward passes; what is missing there runs forward again right before it is needed,
/// once. As in Zhao, Hellard, Eyraud-Dubois, Gusak, Beaumont 2023, "Rockmate: an efficient, fast, automatic and generic tool
/// for re-materialization in PyTorch", the ways of each block are found first, and a chain of blocks then takes one for each.
struct BlockWays {
  /// What is kept of a block's forward passes until its backward passes, and what that takes.
  struct Way {
    /// Floats that are kept, the block's output included.
    let kept: Int
    /// Floats that the forward passes take, besides the block's input.
    let forward: Int
    /// Floats that the passes back take, besides the block's input, the gradients by output and input included.
    let backward: Int
    /// How long the passes back take, in seconds, those that run forward again included.
    let seconds: Double
    /// The passes back.
    let passes: [ActivationSchedule.Pass]
  }

  let stages: Range<Int>
  /// Floats of its input while it waits, and of the gradient by its output.
  let inputCount: Int
  let outputCount: Int
  let forwardSeconds: Double
  /// Floats that forward passes take which keep only the output, the block's input included.
  let sweep: Int
  /// The same without the block's input, for where that is kept anyway.
  let firstSweep: Int
  /// The ways, of which none is better than another in every respect. The first keeps all that the backward passes read.
  let ways: [Way]

  /// Blocks with at most this many stages whose output may be dropped have all choices looked at.
  private static let mostChoices = 10

  /// - Parameter isFirst: whether the network begins with the block, so that its input has no gradient.
  init(_ graph: StageGraph, _ range: Range<Int>, isFirst: Bool) {
    let block = graph.block(range)
    stages = range
    inputCount = block.keptCount(0)
    outputCount = block.stages[block.stages.count - 1].cost.outputCount
    forwardSeconds = block.stages.reduce(0) { $0 + $1.cost.forwardSeconds }
    let sweepBlocks = PassBlocks(block, schedule: nil, keepsInput: false)
    sweep = sweepBlocks.floatsInUse().reduce(0, max)
    firstSweep = sweepBlocks.floatsInUse(without: [sweepBlocks.input]).reduce(0, max)
    let all = Self.way(block, range, keeps: Array(repeating: true, count: range.count), isFirst: isFirst)
    var ways = [all]
    for keeps in Self.choices(block) { ways.append(Self.way(block, range, keeps: keeps, isFirst: isFirst)) }
    self.ways = [all] + Self.undominated(ways).filter { $0.passes != all.passes }
  }

  /// Which stages' outputs are kept, in every way worth a look. The last one's always is: it is the next block's input.
  private static func choices(_ block: StageGraph) -> [[Bool]] {
    let free = block.stages.count - 1
    guard free > mostChoices else {
      return (0..<(1 << free)).map { number in (0...free).map { $0 == free || number >> $0 & 1 == 1 } }
    }
    // What takes the least time for a float that it frees is dropped first.
    let order = (0..<free).sorted {
      let (a, b) = (block.stages[$0].cost, block.stages[$1].cost)
      return a.forwardSeconds * Double(b.outputCount + b.savedCount) < b.forwardSeconds * Double(a.outputCount + a.savedCount)
    }
    var keeps = Array(repeating: true, count: block.stages.count)
    return order.map {
      keeps[$0] = false
      return keeps
    }
  }

  private static func way(_ block: StageGraph, _ range: Range<Int>, keeps: [Bool], isFirst: Bool) -> Way {
    let forward = block.stages.indices.map { ActivationSchedule.Pass.forward($0) }
    let back = passesBack(block, keeps: keeps)
    let blocks = PassBlocks(
      block, schedule: ActivationSchedule(forward + back), inputHasGradient: !isFirst, keepsInput: false)
    let loss = forward.count
    let gradient = blocks.steps[loss].outputGradient ?? blocks.input
    let made = blocks.floatsInUse(without: [blocks.input, gradient])
    let inUse = blocks.floatsInUse(without: [blocks.input])
    return Way(
      kept: made[loss], forward: made[...loss].reduce(0, max), backward: inUse[(loss + 1)...].reduce(0, max),
      seconds: ActivationSchedule(back).seconds(block.stages.map(\.cost)), passes: back.map { $0.moved(by: range.lowerBound) })
  }

  /// The passes back, with forward passes of what was not kept right before it is needed.
  private static func passesBack(_ block: StageGraph, keeps: [Bool]) -> [ActivationSchedule.Pass] {
    let stages = block.stages
    // A sum that takes its input's place leaves that input unreadable.
    let overwritten = Set(stages.filter(\.takesInputPlace).map { $0.inputs[0] })
    /// Whether each activation, and what each stage saved, is there.
    var isThere = [true] + stages.indices.map { keeps[$0] && !overwritten.contains($0 + 1) }
    var isSaved = keeps
    var passes: [ActivationSchedule.Pass] = []
    func run(_ stage: Int) {
      for input in stages[stage].inputs where !isThere[input] { run(input - 1) }
      passes.append(.forward(stage))
      (isThere[stage + 1], isSaved[stage]) = (true, true)
      if stages[stage].takesInputPlace { isThere[stages[stage].inputs[0]] = false }
    }
    for index in stages.indices.reversed() {
      let stage = stages[index]
      if stage.readsInput { for input in stage.inputs where !isThere[input] { run(input - 1) } }
      if stage.readsOutput && !isThere[index + 1] || stage.cost.savedCount > 0 && !isSaved[index] { run(index) }
      passes.append(.backward(index))
    }
    return passes
  }

  /// The ways of which no other takes as little of everything.
  private static func undominated(_ ways: [Way]) -> [Way] {
    let sorted = ways.sorted { ($0.seconds, $0.kept, $0.backward, $0.forward) < ($1.seconds, $1.kept, $1.backward, $1.forward) }
    return sorted.reduce(into: []) { best, way in
      if !best.contains(where: { $0.kept <= way.kept && $0.backward <= way.backward && $0.forward <= way.forward }) {
        best.append(way)
      }
    }
  }
}

extension ActivationSchedule.Pass {
  /// The same pass of the stage that is `distance` further on.
  func moved(by distance: Int) -> ActivationSchedule.Pass {
    switch self {
    case .forward(let stage): .forward(stage + distance)
    case .backward(let stage): .backward(stage + distance)
    }
  }
}
