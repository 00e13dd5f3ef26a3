import Networks
import Tensors
import TestSupport
import Testing

/// Networks whose states wait in files, and last layers without all of their logits: the same bits, in the memory that was planned.
@Suite struct PagedNetworkTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let vocabulary = 5000

  /// Small networks with pages to spare: layers of several pages each.
  private static func network(_ name: String) throws -> Network {
    guard name != "tied" else {
      return Network(input: [6]) {
        Embedding(vocabulary: vocabulary, width: 32).named("transformer")
        Residual {
          LayerNormalization()
          Dense(96, perPosition: true)
          CausalSelfAttention(heads: 2)
          Dense(32, perPosition: true).named("out")
        }.named("block")
        LayerNormalization().named("ln_f")
        TiedHead(to: "transformer.wte.weight", vocabulary: vocabulary).named("lm_head")
      }
    }
    let specification = try ModelSpecification(name)
    return try specification.network(inputShape: specification.context.map { [$0] } ?? [10, 9, 2], outputs: 7)
  }

  private static func adam(_ precision: SlotPrecision) -> Optimizer {
    Optimizer(.adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8), weightDecay: .decoupled(0.01), slotPrecision: precision)
  }

  private static func isText(_ name: String) -> Bool { name == "tied" || name.hasPrefix("gpt") }

  /// The digests of a few updates with evaluations between them, in a state that is paged or not.
  private func digests(
    _ network: CompiledNetwork, _ name: String, isPaged: Bool, kept: [Region] = []
  ) throws -> (digests: [Digest], values: [[Double]], pager: Pager?) {
    let folder = isPaged ? folder.path : nil
    var state = try folder.map { try StateBuffer(count: network.stateCount, pagedIn: $0) } ?? StateBuffer(count: network.stateCount)
    try network.layout.initialize(&state, seed: 1)
    let evaluated = try network.forEvaluation(rows: 2, arenaCount: 1)
    var workspace = try network.makeWorkspace(sharedWith: evaluated, pagedIn: folder)
    let random = RandomSource(seed: 3, purpose: .synthesis)
    let classes = network.outputCount
    func fill(_ network: CompiledNetwork, update: Int) {
      network.take(&workspace)
      let inputs = workspace.inputs(rows: network.batchSize).elements
      if Self.isText(name) {
        for index in 0..<inputs.count { inputs[index] = Float(random.index(below: classes, batch: update, example: index)) }
      } else {
        random.fillNormal(inputs, batch: update, deviation: 1)
      }
      for index in 0..<network.batchSize * network.targetCount {
        workspace.targets.classes[index] = Int32(random.index(below: classes, batch: update + 100, example: index))
      }
    }
    var digests: [Digest] = []
    var values: [[Double]] = []
    for update in 0..<3 {
      fill(network, update: update)
      let context = PassContext(isTraining: true, seed: 5, batch: update + 1)
      state.pager?.keep(kept)
      try network.update(&state, learningRate: 0.05, position: update, context: context, workspace: &workspace)
      digests.append(try Digest(of: state, updateCount: update + 1))
      fill(network, update: update)
      values.append([try network.trainingLoss(of: &state, context: context, workspace: &workspace)])
      digests.append(try Digest(of: state, updateCount: update + 1))
      fill(evaluated, update: 50)
      var measurement = Measurement(network.loss.defaultMeasures, outputs: network.outputCount)
      try evaluated.evaluate(state, rows: evaluated.batchSize, workspace: &workspace, into: &measurement)
      measurement.endBatch()
      values.append(measurement.values)
    }
    return (digests, values, state.pager)
  }

  /// Promise "same bits": with any part of the state kept in memory, any schedule, and all logits or only some of them at once. The
  /// memory and what is read and written are what was planned.
  @Test(arguments: ["mlp:300,200", "resnet18:16", "gpt:layers=2,heads=2,width=64,context=6,dropout=0.1", "tied"],
    [Optimizer(.sgd), Optimizer(.momentum(0.9)), adam(.float32), adam(.eightBit)])
  func pagedStatesHaveTheSameBits(name: String, optimizer: Optimizer) throws {
    try check(name, optimizer, .builtin)
  }

  @Test(arguments: ["mlp:300,200", "resnet18:16", "gpt:layers=2,heads=2,width=64,context=6,dropout=0.1", "tied"])
  func pagedStatesHaveTheSameBitsByOpenBLAS(name: String) throws {
    try check(name, Optimizer(.momentum(0.9)), .openBLAS)
  }

  private func check(_ name: String, _ optimizer: Optimizer, _ library: ProductLibrary) throws {
    let whole = try CompiledNetwork(
      Self.network(name), loss: CrossEntropy(), batchSize: 3, optimizer: optimizer, products: Products(library))
    let expected = try digests(whole, name, isPaged: false)
    let parted = try whole.withHeadInParts()
    #expect((parted == nil) == (name != "tied"))
    for network in [whole, parted].compactMap(\.self) {
      let (inMemory, curve) = (try digests(network, name, isPaged: false), MemoryCurve(network))
      #expect(inMemory.digests == expected.digests && inMemory.values == expected.values)
      for point in [curve.points.first, curve.points.last].compactMap(\.self) {
        let network = try network.rescheduled(point.schedule)
        let residencies = network.residencies(point.schedule, rates: .guessed)
        #expect(residencies.count > 1)
        // Whoever keeps more of a state waits less, on any disk.
        for rate in [1e6, 1e9, 1e15] {
          let residencies = network.residencies(point.schedule, rates: PagingRates(read: rate, write: rate))
          #expect(zip(residencies, residencies.dropFirst()).allSatisfy { $0.keptByteCount > $1.keptByteCount && $0.seconds <= $1.seconds })
        }
        for residency in [residencies.first, residencies[residencies.count / 2], residencies.last].compactMap(\.self) {
          let found = try digests(network, name, isPaged: true, kept: residency.kept)
          #expect(found.digests == expected.digests && found.values == expected.values)
          let pager = try #require(found.pager)
          // Operations on the whole state, such as digests, have some parts of it in memory.
          let keptBytes = residency.kept.reduce(0) { $0 + 4 * $1.count + 2 * Pager.pageBytes }
          #expect(pager.peakResidentBytes <= max(residency.byteCount, keptBytes + 4 << 20))
        }
        // Large networks do with a part of their states.
        if name.hasPrefix("resnet") { #expect((residencies.last?.byteCount ?? 0) < network.stateCount * 4) }
      }
    }
  }
}
