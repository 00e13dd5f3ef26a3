/// The stages of a network and the activations between them: what schedules, memory and paging are planned for.
///
/// A stage is a layer with an output of its own, with those that work on that output in place, or the sum of two branches. Activation
/// 0 is the network's input, and activation s + 1 is the output of stage s. Stages are in an order in which each can run
/// after those before it.
public struct StageGraph: Sendable {
  public struct Stage: Sendable {
    public var cost: StageCost
    /// The activations it reads: one, or two where it adds them up.
    public let inputs: [Int]
    /// Whether it adds up its inputs. Then its backward pass hands its output's gradient to both.
    public let isSum: Bool
    /// Whether the backward pass reads the stage's input.
    public let readsInput: Bool
    /// Whether the backward pass reads the stage's output.
    public let readsOutput: Bool
    /// Whether the backward pass overwrites the gradient by the stage's output.
    public let overwritesGradient: Bool
    /// The floats of the largest gradient of a parameter that the backward pass holds; 0 where it holds none.
    public let parameterGradientCount: Int
    /// Whether the output takes the place of the first input, which nothing else reads.
    public fileprivate(set) var takesInputPlace = false

    public init(
      _ cost: StageCost, inputs: [Int], isSum: Bool = false, readsInput: Bool = true, readsOutput: Bool = true,
      overwritesGradient: Bool = false, parameterGradientCount: Int = 0
    ) {
      self.cost = cost
      self.inputs = inputs
      self.isSum = isSum
      self.readsInput = readsInput
      self.readsOutput = readsOutput
      self.overwritesGradient = overwritesGradient
      self.parameterGradientCount = parameterGradientCount
    }
  }

  public private(set) var stages: [Stage]
  /// Which activations wait in 16 bits for those who read them later than at once.
  private(set) var isHalf: [Bool]
  /// The stages in blocks, each as short as it can be, between which a single activation passes: a stage of a chain, or a residual
  /// block with its shortcut.
  public let blocks: [Range<Int>]

  /// - Precondition: every input is an activation before the stage's output.
  public init(_ stages: [Stage]) {
    var stages = stages
    var readers = Array(repeating: 0, count: stages.count + 1)
    /// The last stage that reads each activation.
    var lastReader = Array(repeating: -1, count: stages.count + 1)
    for (index, stage) in stages.enumerated() {
      for input in stage.inputs {
        precondition((0...index).contains(input), "a stage reads activations before it")
        readers[input] += 1
        lastReader[input] = index
      }
    }
    for index in stages.indices where stages[index].isSum {
      let first = stages[index].inputs[0]
      stages[index].takesInputPlace = first > 0 && readers[first] == 1 && !stages[first - 1].readsOutput
    }
    var blocks: [Range<Int>] = []
    var reach = 0
    for index in stages.indices {
      // A later stage may read any activation from the block's beginning up to here, but only the last one crosses its end.
      if index > 0, reach < index { blocks.append((blocks.last?.upperBound ?? 0)..<index) }
      reach = max(reach, lastReader[index])
    }
    if !stages.isEmpty { blocks.append((blocks.last?.upperBound ?? 0)..<stages.count) }
    self.stages = stages
    self.blocks = blocks
    isHalf = Array(repeating: false, count: stages.count + 1)
  }

  /// The stages of a chain, each of which reads the output of the one before, on the way forward and on the way back.
  public init(chain costs: [StageCost]) {
    self.init(costs.enumerated().map { Stage($1, inputs: [$0]) })
  }

  /// The same stages with other costs.
  public func with(_ costs: [StageCost]) -> StageGraph {
    precondition(costs.count == stages.count, "one cost a stage")
    var copy = self
    for (index, cost) in costs.enumerated() { copy.stages[index].cost = cost }
    return copy
  }

  /// The same stages, whose outputs wait in a precision. Inputs, such as numbers of tokens, and what the loss gets stay as they are.
  public func keeping(_ precision: ActivationPrecision) -> StageGraph {
    var copy = self
    for activation in 1..<max(1, stages.count) { copy.isHalf[activation] = precision == .bfloat16 }
    return copy
  }

  /// The numbers of an activation.
  func count(_ activation: Int) -> Int {
    activation == 0 ? stages[0].cost.inputCount : stages[activation - 1].cost.outputCount
  }

  /// Floats that an activation takes while it waits.
  func keptCount(_ activation: Int) -> Int {
    isHalf[activation] ? (count(activation) + 1) / 2 : count(activation)
  }

  /// The same stages, the last of which has another output and other scratch memory; nil for no change.
  func withLast(_ cost: StageCost?) -> StageGraph {
    guard let cost else { return self }
    var copy = self
    copy.stages[stages.count - 1].cost = cost
    return copy
  }

  /// The stages of a block as a graph of their own.
  func block(_ range: Range<Int>) -> StageGraph {
    var block = StageGraph(
      stages[range].map { stage in
        Stage(
          stage.cost, inputs: stage.inputs.map { $0 - range.lowerBound }, isSum: stage.isSum, readsInput: stage.readsInput,
          readsOutput: stage.readsOutput, overwritesGradient: stage.overwritesGradient,
          parameterGradientCount: stage.parameterGradientCount)
      })
    block.isHalf = Array(isHalf[range.lowerBound...range.upperBound])
    return block
  }
}
