import Networks
import Tensors
import Testing

@Suite struct TransformerLayerTests {
  /// Unusual shapes: one position, batches of one, one head, numbers of channels that do not fill a register.
  static let chains: [(layers: [any Layer], shape: [Int], batch: Int)] = [
    ([LayerNormalization()], [1, 3], 1), ([LayerNormalization()], [5, 19], 3), ([LayerNormalization()], [7], 4),
    ([GELU()], [13], 3), ([GELU(), Dense(4), GELU()], [2, 9], 2),
    ([CausalSelfAttention(heads: 1)], [1, 3], 1), ([CausalSelfAttention(heads: 1)], [6, 15], 2),
    ([CausalSelfAttention(heads: 3)], [5, 18], 2), ([CausalSelfAttention(heads: 2)], [17, 12], 1),
    ([CausalSelfAttention(heads: 2)], [130, 12], 1),
    ([Dropout(0.4)], [11, 3], 2), ([Dropout(0)], [3], 2), ([Dense(5), Dropout(0.5), Dense(3, perPosition: true)], [4, 3], 2),
    ([Dense(6, perPosition: true, bias: false), Residual([LayerNormalization().named(""), Dropout(0.3).named("d")])], [4, 3], 2),
  ]

  @Test(arguments: chains.indices)
  func gradientsMatchDifferences(index: Int) throws {
    let (layers, shape, batch) = Self.chains[index]
    for (tensor, error) in try GradientCheck(layers: layers, inputShape: shape, batch: batch, step: 2e-3).errors() {
      #expect(error < 0.005, "\(layers) at \(shape), \(tensor): \(error)")
    }
  }

  /// Input numbers have no gradient, but the vectors they select have one; in one case all numbers are equal.
  @Test(arguments: [(6, 1, false), (5, 3, false), (5, 3, true), (1, 2, false)])
  func embeddings(context: Int, batch: Int, allEqual: Bool) throws {
    var check = GradientCheck(
      layers: [Embedding(vocabulary: 7, width: 5)], inputShape: [context], batch: batch, step: 2e-3)
    check.isPerPosition = true
    check.fillInput = { inputs in
      for index in 0..<inputs.elements.count { inputs.elements[index] = allEqual ? 4 : Float(index * 3 % 7) }
    }
    for (tensor, error) in try check.errors() { #expect(error < 0.005, "\(tensor): \(error)") }
  }

  @Test(arguments: ["gpt:layers=2,heads=1,width=5,context=3", "gpt:layers=1,heads=2,width=6,context=7,dropout=0.2"])
  func aNetworksGradientsMatchDifferences(model: String) throws {
    let specification = try ModelSpecification(model)
    let context = try #require(specification.context)
    let description = try specification.network(inputShape: [context], outputs: 9)
    var check = GradientCheck(
      layers: description.layers.map(\.layer), inputShape: [context], batch: 2, classes: 9, isPerPosition: true,
      step: 1e-2)
    check.fillInput = { inputs in for index in 0..<inputs.elements.count { inputs.elements[index] = Float(index * 5 % 9) } }
    for (tensor, error) in try check.errors() { #expect(error < 0.02, "\(tensor): \(error)") }
  }

  private func logits(_ network: CompiledNetwork, _ characters: [Int]) throws -> [[Float]] {
    var state = try StateBuffer(count: network.stateCount)
    try network.layout.initialize(&state, seed: 3)
    var workspace = try network.makeWorkspace()
    for (index, character) in characters.enumerated() { workspace.inputs(rows: 1).elements[index] = Float(character) }
    let logits = try network.outputs(state, rows: 1, workspace: &workspace)
    return (0..<logits.rows).map { row in (0..<logits.columns).map { logits[row: row][$0] } }
  }

  @Test func noPositionSeesTheOnesBehindIt() throws {
    let description = try ModelSpecification("gpt:layers=2,heads=2,width=8,context=6").network(
      inputShape: [6], outputs: 5)
    let network = try CompiledNetwork(description, loss: CrossEntropy(), batchSize: 1, isTrained: false)
    let before = try logits(network, [0, 1, 2, 3, 4, 0])
    for changed in 0..<6 {
      var characters = [0, 1, 2, 3, 4, 0]
      characters[changed] = (characters[changed] + 2) % 5
      let after = try logits(network, characters)
      #expect(after[..<changed] == before[..<changed])
      for position in changed..<6 { #expect(after[position] != before[position]) }
    }
  }

  @Test func namesAndShapesAreNanoGPTs() throws {
    let network = try CompiledNetwork(
      ModelSpecification("gpt:layers=1,heads=2,width=4,context=3").network(inputShape: [3], outputs: 7), loss: CrossEntropy(), batchSize: 1)
    let expected: [(String, [Int])] = [
      ("transformer.wte.weight", [7, 4]), ("transformer.wpe.weight", [3, 4]), ("transformer.h.0.ln_1.weight", [4]),
      ("transformer.h.0.ln_1.bias", [4]), ("transformer.h.0.attn.c_attn.weight", [12, 4]),
      ("transformer.h.0.attn.c_attn.bias", [12]), ("transformer.h.0.attn.c_proj.weight", [4, 4]),
      ("transformer.h.0.attn.c_proj.bias", [4]), ("transformer.h.0.ln_2.weight", [4]), ("transformer.h.0.ln_2.bias", [4]),
      ("transformer.h.0.mlp.c_fc.weight", [16, 4]), ("transformer.h.0.mlp.c_fc.bias", [16]),
      ("transformer.h.0.mlp.c_proj.weight", [4, 16]), ("transformer.h.0.mlp.c_proj.bias", [4]),
      ("transformer.ln_f.weight", [4]), ("transformer.ln_f.bias", [4]), ("lm_head.weight", [7, 4]),
    ]
    #expect(network.layout.tensors.map(\.name) == expected.map(\.0))
    #expect(network.layout.tensors.map(\.shape) == expected.map(\.1))
  }

  @Test(arguments: [
    "gpt:", "gpt:layers", "gpt:layers=0", "gpt:heads=3", "gpt:layers=1,layers=2", "gpt:depth=2", "gpt:dropout=1",
    "gpt:width=128,", "gpt:context=x",
  ])
  func unreadable(specification: String) {
    #expect(throws: NetworkError.self) { try ModelSpecification(specification) }
  }
}

@Suite struct DropoutTests {
  /// The result of applying a dropout to ones, row after row, when `before` other dropouts precede it.
  private func dropped(
    _ probability: Double, rows: Int = 4, columns: Int = 1000, training: Bool = true, seed: UInt64 = 1, batch: Int = 1,
    before: Int = 0
  ) throws -> [Float] {
    let network = try CompiledNetwork(
      Network(input: [columns]) {
        for layer in 0...before { Dropout(layer == before ? probability : 0) }
      }, loss: CrossEntropy(), batchSize: rows)
    var state = try StateBuffer(count: network.stateCount)
    var workspace = try network.makeWorkspace()
    workspace.inputs(rows: rows).elements.fill(1)
    let context = PassContext(isTraining: training, seed: seed, batch: batch)
    let logits = try network.outputs(&state, rows: rows, context: context, workspace: &workspace)
    return (0..<logits.elements.count).map { logits.elements[$0] }
  }

  @Test(arguments: [0.1, 0.5, 0.9])
  func dropsItsFractionAndKeepsTheMean(probability: Double) throws {
    let values = try dropped(probability, rows: 40)
    let kept = values.filter { $0 != 0 }
    let factor = Float(1 / (1 - probability))
    #expect(kept.allSatisfy { $0 == factor })
    let deviation = (probability * (1 - probability) / Double(values.count)).squareRoot()
    let fraction = Double(kept.count) / Double(values.count)
    #expect(abs(fraction - (1 - probability)) < 5 * deviation)
  }

  @Test func isAPureFunctionOfSeedLayerBatchRowAndElement() throws {
    let mask = try dropped(0.5)
    #expect(try dropped(0.5) == mask)
    #expect(try Array(dropped(0.5, rows: 2)) == Array(mask[..<2000]))
    #expect(try dropped(0.5, seed: 2) != mask)
    #expect(try dropped(0.5, batch: 2) != mask)
    #expect(try dropped(0.5, before: 1) != mask)
    let rows = (0..<4).map { row in Array(mask[row * 1000..<row * 1000 + 1000]) }
    #expect(Set(rows).count == 4)
    #expect(try dropped(0.5, training: false).allSatisfy { $0 == 1 })
    #expect(try dropped(0).allSatisfy { $0 == 1 })
  }
}
