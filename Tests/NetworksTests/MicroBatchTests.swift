import Networks
import TestSupport
import Tensors
import Testing

/// Promise "same bits": a batch in micro-batches gives the bits of the whole one.
@Suite struct MicroBatchTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  struct Case: CustomTestStringConvertible, Sendable {
    let model: String
    let batchSize: Int
    /// Examples of a micro-batch.
    let sizes: [Int]

    var testDescription: String { model }
  }

  /// The last micro-batch has fewer examples, or one, in most of them.
  private static let cases = [
    Case(model: "mlp:40,30", batchSize: 300, sizes: [128, 256]),
    Case(model: "mlp:40,30", batchSize: 129, sizes: [128]),
    // Matrices of one column.
    Case(model: "mlp:20,1,20", batchSize: 700, sizes: [128, 384]),
    Case(model: "gpt:layers=1,heads=1,width=1,context=64", batchSize: 12, sizes: [2, 8]),
    Case(model: "lenet", batchSize: 140, sizes: [128]),
    Case(model: "gpt:layers=2,heads=2,width=32,context=64,dropout=0.1", batchSize: 7, sizes: [2, 4, 6]),
    Case(model: "gpt:layers=1,heads=2,width=32,context=128", batchSize: 3, sizes: [1, 2]),
    Case(model: "gpt:layers=1,heads=2,width=32,context=6", batchSize: 65, sizes: [64]),
    Case(model: "tied", batchSize: 5, sizes: [2, 4]),
  ]

  /// The last chunk of classes that a head makes is a single one.
  private static let vocabulary = 4097

  private static func network(_ name: String) throws -> Network {
    guard name != "tied" else {
      return Network(input: [64]) {
        Embedding(vocabulary: vocabulary, width: 16).named("transformer")
        Residual {
          LayerNormalization()
          Dense(48, perPosition: true)
          CausalSelfAttention(heads: 2)
          Dropout(0.2)
          Dense(16, perPosition: true).named("out")
        }.named("block")
        TiedHead(to: "transformer.wte.weight", vocabulary: vocabulary).named("lm_head")
      }
    }
    let specification = try ModelSpecification(name)
    return try specification.network(inputShape: specification.context.map { [$0] } ?? [28, 28, 1], outputs: 7)
  }

  /// Calls `body` for each micro-batch of a made-up batch, which is in the workspace then.
  private func forEachPart(
    of network: CompiledNetwork, _ workspace: inout CompiledNetwork.Workspace, update: Int,
    _ body: (MicroBatch, inout CompiledNetwork.Workspace) throws -> Void
  ) throws {
    let random = RandomSource(seed: 3, purpose: .synthesis)
    let isText = network.network.inputShape.count == 1 && network.network.layers.first?.layer is Embedding
    let (inputs, targets) = (network.inputCount, network.targetCount)
    var batch = try FloatBuffer(count: network.batchSize * inputs)
    if isText {
      for index in 0..<batch.count { batch[index] = Float(random.index(below: network.outputCount, batch: update, example: index)) }
    } else {
      random.fillNormal(batch.mutableVector, batch: update, deviation: 1)
    }
    network.take(&workspace)
    for index in 0..<network.microBatchCount {
      let part = network.microBatch(index)
      let region = Region(offset: part.examples.lowerBound * inputs, count: part.examples.count * inputs)
      workspace.inputs(rows: part.examples.count).elements.copy(from: batch.vector.part(region))
      for target in 0..<part.examples.count * targets {
        let place = part.examples.lowerBound * targets + target
        workspace.targets.classes[target] = Int32(random.index(below: network.outputCount, batch: update + 100, example: place))
      }
      try body(part, &workspace)
    }
  }

  /// The digests of states, of a gradient and the losses of a few updates.
  private func results(_ network: CompiledNetwork, isPaged: Bool = false, kept: [Region] = []) throws -> (digests: [Digest], losses: [Double]) {
    let folder = isPaged ? folder.path : nil
    var state = try folder.map { try StateBuffer(count: network.stateCount, pagedIn: $0) } ?? StateBuffer(count: network.stateCount)
    try network.layout.initialize(&state, seed: 1)
    var workspace = try network.makeWorkspace(pagedIn: folder)
    var gradient = try StateBuffer(count: network.stateCount)
    var digests: [Digest] = []
    var losses: [Double] = []
    for update in 0..<3 {
      let context = PassContext(isTraining: true, seed: 5, batch: update + 1)
      state.pager?.keep(kept)
      var (sum, loss) = (0.0, 0.0)
      try forEachPart(of: network, &workspace, update: update) { part, workspace in
        loss = try network.trainingLoss(of: &state, context: context, workspace: &workspace, part: part, sum: &sum)
      }
      losses.append(loss)
      if !isPaged {
        try forEachPart(of: network, &workspace, update: update) { part, workspace in
          try network.gradient(of: &state, into: &gradient, context: context, workspace: &workspace, part: part)
        }
        digests.append(try Digest(of: gradient, updateCount: 0))
      }
      // Every second update measures its loss on the way, which is the same, and changes no bit.
      var measured = update % 2 == 1 ? 0 : loss
      try forEachPart(of: network, &workspace, update: update) { part, workspace in
        guard update % 2 == 1 else {
          return try network.update(&state, learningRate: 0.05, position: update, context: context, workspace: &workspace, part: part)
        }
        measured = try network.updateMeasuringLoss(
          &state, learningRate: 0.05, position: update, context: context, workspace: &workspace, part: part)
      }
      #expect(measured == loss)
      digests.append(try Digest(of: state, updateCount: update + 1))
    }
    return (digests, losses)
  }

  @Test(arguments: cases, ["sgd", "momentum", "adamw"]) func bitsAreThoseOfTheWholeBatch(_ tried: Case, optimizer: String) throws {
    let rule = try Optimizer(optimizer)
    let decay: Optimizer.WeightDecay = optimizer == "adamw" ? .decoupled(0.1) : .l2(0.01)
    let whole = try CompiledNetwork(
      Self.network(tried.model), loss: CrossEntropy(), batchSize: tried.batchSize, optimizer: Optimizer(rule.rule, weightDecay: decay))
    let expected = try results(whole)
    for network in [whole, try whole.withHeadInParts()].compactMap(\.self) {
      for size in tried.sizes {
        let parted = try network.withMicroBatches(of: size)
        #expect(parted.arenaCount < network.arenaCount)
        let curve = MemoryCurve(parted)
        for point in [curve.points.first, curve.points.last].compactMap(\.self) {
          let parted = try parted.rescheduled(point.schedule)
          #expect(parted.arenaCount == point.arenaCount && parted.microBatchSize == size)
          let found = try results(parted)
          #expect(found.digests == expected.digests, "\(size)")
          #expect(found.losses == expected.losses, "\(size)")
        }
      }
    }
  }

  /// With the state on disk as well, and with any part of it kept.
  @Test(arguments: [cases[0], cases[3], cases[6]], ["sgd", "adamw"]) func bitsAreTheSameWithPagedStates(_ tried: Case, optimizer: String) throws {
    let whole = try CompiledNetwork(
      Self.network(tried.model), loss: CrossEntropy(), batchSize: tried.batchSize, optimizer: Optimizer(optimizer))
    let expected = try results(whole)
    // Without the gradients.
    let states = expected.digests.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
    let parted = try (whole.withHeadInParts() ?? whole).withMicroBatches(of: tried.sizes[0])
    let schedule = try #require(MemoryCurve(parted).points.last?.schedule)
    let network = try parted.rescheduled(schedule)
    let residencies = network.residencies(schedule, rates: .guessed)
    for residency in [residencies.first, residencies.last].compactMap(\.self) {
      let found = try results(network, isPaged: true, kept: residency.kept)
      #expect(found.digests == states && found.losses == expected.losses)
    }
  }

  @Test func sizesThatWouldChangeBitsAreRefused() throws {
    func refusal(_ model: String, batchSize: Int, size: Int) -> String {
      do throws(NetworkError) {
        let network = try? Self.network(model)
        _ = try CompiledNetwork(network ?? Network(input: [1]) {}, loss: CrossEntropy(), batchSize: batchSize, microBatchSize: size)
        return ""
      } catch { return "\(error)" }
    }
    #expect(refusal("mlp:40", batchSize: 300, size: 64).contains("multiples of 128"))
    #expect(refusal("gpt:layers=1,heads=1,width=8,context=96", batchSize: 9, size: 3).contains("multiples of 4"))
    #expect(refusal("resnet18:4", batchSize: 256, size: 128).contains("batch normalization"))
    #expect(refusal("mlp:40", batchSize: 300, size: 300) == "")
    #expect(refusal("mlp:40", batchSize: 300, size: 301) != "")
  }
}
