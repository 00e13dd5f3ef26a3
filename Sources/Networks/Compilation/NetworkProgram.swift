import Tensors

/// The passes of an update, or of an evaluation, with every block of memory they need at its place in one arena.
struct NetworkProgram: Sendable {
  let steps: [PassStep<Region>]
  /// The place of the network's input in the arena.
  let input: Region
  /// The place of its output.
  let outputs: Region
  /// Length of the arena, in floats.
  let arenaCount: Int

  /// - Parameter schedule: the order of an update's passes; nil for an evaluation, which runs each stage forward once.
  init(_ graph: StageGraph, schedule: ActivationSchedule?) {
    let blocks = PassBlocks(graph, schedule: schedule)
    let packing = ArenaPacking(blocks.lifetimes)
    steps = blocks.steps.map { step in step.map { packing.regions[$0] } }
    input = packing.regions[blocks.input]
    outputs = packing.regions[blocks.output]
    arenaCount = packing.count
  }
}
