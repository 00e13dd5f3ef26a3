import Networks
import TestSupport
import Tensors
import Testing

/// Activations in 16 bits: rounded wherever they are read, kept in half the memory, the same bits with every schedule.
@Suite struct ActivationPrecisionTests {
  /// Rounds to bfloat16 by itself and hands gradients on, as a layer of its own.
  private struct Rounding: Layer {
    func placed(inputShape: [Int], in builder: inout NetworkBuilder) -> any PlacedLayer { PlacedRounding(outputShape: inputShape) }
  }

  private struct PlacedRounding: PlacedLayer {
    let outputShape: [Int]
    var memory: LayerMemory { LayerMemory(readsInput: false, readsOutput: false, overwritesGradient: false) }
    var batchParts: BatchParts { .any }

    func forward(_ pass: ForwardPass) {
      for index in 0..<pass.input.elements.count { pass.output.elements[index] = Self.rounded(pass.input.elements[index]) }
    }

    func backward(_ pass: BackwardPass) { pass.inputGradient?.elements.copy(from: pass.outputGradient.elements.vector) }

    /// The nearest number with 8 significant bits, by arithmetic; of two, the one whose last bit is 0.
    static func rounded(_ x: Float) -> Float {
      guard x != 0, x.isFinite else { return x }
      let step = Double(x.ulp) * 65_536
      return Float((Double(x) / step).rounded(.toNearestOrEven) * step)
    }
  }

  /// A network with or without a layer that rounds behind each stage but the last.
  @LayerBuilder private static func layers(_ name: String, rounds: Bool) -> [NamedLayer] {
    let rounding = rounds ? [Rounding().named("rounding")] : []
    switch name {
    case "dense":
      Dense(20).named("a")
      ReLU()
      rounding
      Dense(11).named("b")
      rounding
      GELU()
      rounding
      Dense(6).named("c")
    case "images":
      Convolution(16, size: 3, padding: 1).named("a")
      rounding
      BatchNormalization().named("b")
      ReLU()
      rounding
      Residual(rectified: true) {
        Convolution(16, size: 3, padding: 1).named("c")
        rounding
        BatchNormalization().named("d")
        rounding
      } shortcut: {
        Convolution(16, size: 1).named("e")
        rounding
      }.named("block")
      rounding
      MaxPooling(2)
      rounding
      Dense(6).named("f")
    default:
      Embedding(vocabulary: 9, width: 8).named("transformer")
      rounding
      for index in 0..<2 {
        Residual {
          LayerNormalization().named("a")
          rounding
          Dense(24, perPosition: true).named("b")
          rounding
          CausalSelfAttention(heads: 2)
          rounding
          Dropout(0.2)
          rounding
        }.named("block.\(index)")
        rounding
      }
      Dense(9, perPosition: true).named("head")
    }
  }

  private func digests(_ network: CompiledNetwork) throws -> [Digest] {
    var state = try StateBuffer(count: network.stateCount)
    try network.layout.initialize(&state, seed: 1)
    var workspace = try network.makeWorkspace()
    let random = RandomSource(seed: 3, purpose: .synthesis)
    return try (1...4).map { update in
      for index in 0..<network.microBatchCount {
        let part = network.microBatch(index)
        network.take(&workspace)
        let inputs = workspace.inputs(rows: part.examples.count).elements
        let first = part.examples.lowerBound * network.inputCount
        for index in 0..<inputs.count {
          let class_ = random.index(below: 9, batch: update, example: first + index)
          inputs[index] = network.network.inputShape == [6] ? Float(class_) : Float(class_) / 3.7 - 1
        }
        for index in 0..<part.examples.count * network.targetCount {
          let place = part.examples.lowerBound * network.targetCount + index
          workspace.targets.classes[index] = Int32(random.index(below: network.outputCount, batch: update + 100, example: place))
        }
        try network.update(
          &state, learningRate: 0.1, position: update - 1, context: PassContext(isTraining: true, seed: 2, batch: update),
          workspace: &workspace, part: part)
      }
      return try Digest(of: state, updateCount: update)
    }
  }

  @Test(arguments: ["dense", "images", "text"], ["sgd", "adamw"]) func bitsAreThoseOfLayersThatRound(name: String, optimizer: String) throws {
    let shape = ["dense": [13], "images": [16, 16, 2], "text": [6]][name] ?? []
    func compiled(rounds: Bool, _ precision: ActivationPrecision) throws -> CompiledNetwork {
      try CompiledNetwork(
        Network(input: shape) { Self.layers(name, rounds: rounds) }, loss: CrossEntropy(), batchSize: 5,
        optimizer: Optimizer(optimizer), activationPrecision: precision)
    }
    let whole = try digests(compiled(rounds: false, .float32))
    let expected = try digests(compiled(rounds: true, .float32))
    let network = try compiled(rounds: false, .bfloat16)
    #expect(expected != whole)
    let curve = MemoryCurve(network)
    #expect(curve.points.count > 1 || name == "dense")
    for point in curve.points {
      let network = try network.rescheduled(point.schedule)
      #expect(network.arenaCount == point.arenaCount)
      #expect(try digests(network) == expected, "\(point.schedule.repeatedPasses) passes again")
    }
  }

  /// Deep networks, most of whose memory waits.
  @Test(arguments: ["gpt:layers=6,heads=2,width=32,context=64", "resnet18:8"]) func activationsTakeLittleMoreThanHalf(model: String) throws {
    let specification = try ModelSpecification(model)
    let network = try specification.network(inputShape: specification.context.map { [$0] } ?? [32, 32, 3], outputs: 10)
    func count(_ precision: ActivationPrecision) throws -> Int {
      try CompiledNetwork(network, loss: CrossEntropy(), batchSize: 8, activationPrecision: precision).arenaCount
    }
    let (half, whole) = (try count(.bfloat16), try count(.float32))
    #expect(Double(half) < 0.68 * Double(whole), "\(half) of \(whole)")
  }

  /// What is evaluated is the state, whatever its updates kept.
  @Test func evaluationsDoNotRound() throws {
    let network = Network(input: [13]) { Self.layers("dense", rounds: false) }
    func evaluated(_ precision: ActivationPrecision) throws -> CompiledNetwork {
      try CompiledNetwork(network, loss: CrossEntropy(), batchSize: 5, activationPrecision: precision).forEvaluation(rows: 3, arenaCount: 1 << 20)
    }
    func outputs(_ network: CompiledNetwork) throws -> [Float] {
      var state = try StateBuffer(count: network.layout.count)
      try network.layout.initialize(&state, seed: 1)
      var workspace = try network.makeWorkspace()
      RandomSource(seed: 3, purpose: .synthesis).fillNormal(workspace.inputs(rows: 3).elements, batch: 0, deviation: 1)
      let outputs = try network.outputs(state, rows: 3, workspace: &workspace)
      return (0..<outputs.elements.count).map { outputs.elements[$0] }
    }
    #expect(try outputs(evaluated(.bfloat16)) == outputs(evaluated(.float32)))
  }
}
