import Tensors

/// A network with the kinds of stages that another has, each of them about once, on which their times are measured.
///
/// A transformer's layers are alike, and so are most blocks of a residual network: their passes take the same time. The sample
/// leaves out what repeats, so that neither the number of its passes nor the size of its state grows with the depth. It may also
/// have smaller batches, and of tokens shorter windows; times are then extrapolated by counts of multiply-adds.
public struct StageSample: Sendable {
  /// The network whose stages the sample stands for.
  private let whole: CompiledNetwork
  /// The sample for batches of the same size.
  private let network: CompiledNetwork
  /// For each stage of the whole network, the stage of the sample that is alike.
  private let places: [Int]

  /// - Parameter whole: a network for whole batches.
  /// - Throws: `NetworkError`, as compiling the network does.
  public init(of whole: CompiledNetwork) throws(NetworkError) {
    self.whole = whole
    func compiled(_ network: Network) throws(NetworkError) -> CompiledNetwork {
      try CompiledNetwork(
        network, loss: whole.loss, batchSize: whole.batchSize, optimizer: whole.optimizer,
        activationPrecision: whole.activationPrecision, products: whole.products)
    }
    let sample = try compiled(try whole.network.withoutRepeats())
    var known: [StageKind: Int] = [:]
    for (place, kind) in sample.stageKinds.enumerated() where known[kind] == nil { known[kind] = place }
    let places = try compiled(whole.network).stageKinds.map { known[$0] }
    if places.contains(nil) {
      // Where a stage depends on more than its layers, nothing is left out.
      (network, self.places) = (try compiled(whole.network), Array(whole.graph.stages.indices))
    } else {
      (network, self.places) = (sample, places.compactMap(\.self))
    }
  }

  /// The number of stages whose passes are timed.
  public var stageCount: Int { network.graph.stages.count }

  /// The multiply-adds of an update of the sample, of as large batches as those of the whole network.
  public var multiplyAdds: Double { network.multiplyAdds }

  /// The sample's layers.
  /// - Parameters:
  ///   - context: how many tokens windows have; nil for inputs of the same shape as the whole network's.
  ///   - vocabulary: how many tokens there are, where the last layer is tied to an embedding; nil for as many as there are.
  public func network(context: Int?, vocabulary: Int? = nil) -> Network {
    var layers = network.network.layers
    if let vocabulary, let embedding = layers[0].layer as? Embedding, let head = tiedHead {
      layers[0] = NamedLayer(Embedding(vocabulary: vocabulary, width: embedding.width), name: layers[0].name)
      let last = layers.count - 1
      layers[last] = NamedLayer(TiedHead(to: head.embedding, vocabulary: vocabulary), name: layers[last].name)
    }
    return Network(input: context.map { [$0] } ?? network.network.inputShape, layers: layers)
  }

  private var tiedHead: TiedHead? { network.network.layers.last?.layer as? TiedHead }

  /// The number of tokens that the last layer tells apart, where it is tied to an embedding; otherwise nil.
  public var vocabulary: Int? { tiedHead?.vocabulary }

  /// The number of tokens of an example; nil where examples are no windows of tokens.
  public var context: Int? {
    let isOfTokens = network.network.layers.first?.layer is Embedding && network.predictionCount == network.network.inputShape[0]
    return isOfTokens ? network.network.inputShape[0] : nil
  }

  /// The costs of the whole network's stages.
  /// - Parameters:
  ///   - measured: the costs measured on the sample, for batches and windows of any size up to the whole network's.
  ///   - smaller: those measured for a smaller size than these; nil for none.
  public func costs(_ measured: [StageCost], beside smaller: [StageCost]? = nil) -> [StageCost] {
    let sample = network.graph.stages.indices.map { place in
      let (cost, large, small) = (network.graph.stages[place].cost, measured[place], smaller?[place])
      // Where logits are made in parts, they are made once more on the way back.
      let repeats = large.backwardMultiplyAdds > 2 * large.forwardMultiplyAdds
      let forward = Self.seconds(
        of: work(cost.forwardMultiplyAdds, cost), (work(large.forwardMultiplyAdds, large), large.forwardSeconds),
        small.map { (work($0.forwardMultiplyAdds, $0), $0.forwardSeconds) })
      let backward = Self.seconds(
        of: work(repeats ? 3 * cost.forwardMultiplyAdds : cost.backwardMultiplyAdds, cost),
        (work(large.backwardMultiplyAdds, large), large.backwardSeconds),
        small.map { (work($0.backwardMultiplyAdds, $0), $0.backwardSeconds) })
      return cost.with(forward: forward, backward: repeats ? max(0, backward - forward) : backward)
    }
    return whole.costs(measured: places.map { sample[$0] }, on: whole)
  }

  /// What the time of a pass grows with: its multiply-adds, or where it has none, the numbers it writes.
  private func work(_ multiplyAdds: Double, _ cost: StageCost) -> Double {
    multiplyAdds > 0 ? multiplyAdds : Double(cost.outputCount)
  }

  /// The time of some work, on the line through those of two smaller amounts. What does not grow with a batch, such as the step of
  /// an optimizer, is where the line begins.
  private static func seconds(
    of work: Double, _ large: (work: Double, seconds: Double), _ small: (work: Double, seconds: Double)?
  ) -> Double {
    guard work > large.work, large.work > 0 else { return large.seconds }
    guard let small, small.work < large.work else { return large.seconds * work / large.work }
    let slope = min(max(0, (large.seconds - small.seconds) / (large.work - small.work)), large.seconds / large.work)
    return large.seconds + slope * (work - large.work)
  }
}

extension Network {
  /// The network without layers that do again what those before them do: of groups of layers next to each other that are alike,
  /// down to the shapes they work on, the first is left.
  func withoutRepeats() throws(NetworkError) -> Network {
    var builder = NetworkBuilder(batchSize: 1)
    var shapes = [inputShape]
    let places = layers.withPlaces
    for (name, layer) in places {
      shapes.append(try builder.place(layer, named: name, inputShape: shapes[shapes.count - 1]).outputShape)
    }
    let texts = places.map { "\($0.layer)" }
    var kept: [Int] = []
    var next = 0
    /// The length of a group of the kept layers that the next ones repeat; nil where they don't.
    func repeated() -> Int? {
      (1...Self.longestGroup).first { length in
        guard length <= kept.count, next + length <= places.count, shapes[kept[kept.count - length]] == shapes[next] else { return false }
        return zip(kept.suffix(length), next...).allSatisfy { texts[$0] == texts[$1] }
      }
    }
    while next < places.count {
      if let length = repeated() {
        next += length
      } else {
        kept.append(next)
        next += 1
      }
    }
    return Network(input: inputShape, layers: kept.map { NamedLayer(places[$0].layer, name: places[$0].name) })
  }

  /// The most layers of a group that is looked for.
  private static let longestGroup = 16
}

extension CompiledNetwork {
  fileprivate var stageKinds: [StageKind] {
    graph.stages.indices.map { StageKind(stages[$0], graph.stages[$0], layout) }
  }
}

/// What the time of a stage's passes depends on.
private struct StageKind: Hashable {
  private let layers: [String]
  private let counts: [Int]
  private let shapes: [[Int]]

  init(_ stage: NetworkStage, _ node: StageGraph.Stage, _ layout: StateLayout) {
    switch stage.work {
    case .layers(let sequence): layers = sequence.kinds
    case .sum(let isRectified): layers = ["sum \(isRectified)"]
    }
    let cost = node.cost
    counts = [
      cost.inputCount, cost.outputCount, cost.savedCount, cost.forwardScratchCount, cost.backwardScratchCount,
      // The gradient by the network's input is not computed.
      node.inputs.contains(0) ? 1 : 0,
    ]
    shapes = layout.tensors[stage.tensors].map(\.shape)
  }
}
