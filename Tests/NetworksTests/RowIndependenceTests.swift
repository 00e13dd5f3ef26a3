import Networks
import Tensors
import Testing

/// An evaluation gives the same bits for any number of rows at once.
@Suite struct RowIndependenceTests {
  /// Every kind of layer. Convolutions with 16 channels are done by Winograd's method, the others directly; rows with many
  /// zeros let products leave terms out.
  private static let chains: [(layers: [any Layer], shape: [Int])] = [
    ([Dense(7)], [50]), ([Dense(40), ReLU(), Dense(5)], [4, 4, 3]), ([Dense(6, perPosition: true)], [3, 9]),
    ([ReLU()], [5]), ([GELU()], [5]), ([Flatten()], [3, 2, 2]), ([LayerNormalization()], [3, 19]), ([BatchNormalization()], [4, 3, 5]),
    ([Dropout(0.4)], [9]), ([MaxPooling(2)], [5, 6, 3]), ([AveragePooling(2)], [6, 6, 3]), ([GlobalAveragePooling()], [5, 3, 4]),
    ([Convolution(5, size: 3, padding: 1)], [7, 6, 3]), ([Convolution(4, size: 3, stride: 2)], [7, 9, 2]),
    ([Convolution(20, size: 5, bias: false)], [9, 8, 33]), ([Convolution(6, size: 1)], [4, 5, 600]),
    ([Convolution(16, size: 3, padding: 1)], [12, 12, 16]), ([Convolution(32, size: 3)], [11, 14, 16]),
    ([CausalSelfAttention(heads: 2)], [5, 18]), ([CausalSelfAttention(heads: 1)], [131, 9]),
    ([Residual { [Dense(3, perPosition: true), GELU()] as [any Layer] }], [4, 3]),
    ([Sequential { [Dense(8), ReLU()] as [any Layer] }, Residual(rectified: true) { Dense(4) } shortcut: { Dense(4).named("s") }], [6]),
  ]

  private static let models: [(name: String, shape: [Int])] = [
    ("linear", [30]), ("mlp:33,12", [8, 8, 1]), ("lenet", [16, 16, 1]), ("resnet18:4", [12, 12, 3]), ("resnet18:16", [12, 12, 3]),
    ("resnet50:4", [12, 12, 3]), ("gpt:layers=2,heads=2,width=16,context=9", [9]), ("gpt:layers=1,heads=1,width=8,context=130", [130]),
  ]

  @Test(arguments: chains.indices) func layerKinds(index: Int) throws {
    try check(Network(input: Self.chains[index].shape) { Self.chains[index].layers })
  }

  @Test func embeddings() throws {
    try check(Network(input: [4]) { Embedding(vocabulary: 7, width: 5) }, numbersBelow: 7)
  }

  @Test(arguments: models.indices) func zoo(index: Int) throws {
    let (name, shape) = Self.models[index]
    try check(
      ModelSpecification(name).network(inputShape: shape, outputs: 10), numbersBelow: name.hasPrefix("gpt") ? 10 : nil)
  }

  /// - Parameter numbersBelow: the bound of inputs that are whole numbers; nil for real ones.
  private func check(_ network: Network, numbersBelow bound: Int? = nil) throws {
    let rows = 64
    let whole = try CompiledNetwork(network, loss: CrossEntropy(), batchSize: rows, isTrained: false)
    let random = RandomSource(seed: 9, purpose: .synthesis)
    var state = try StateBuffer(count: whole.stateCount)
    try whole.layout.initialize(&state, seed: 4)
    for (index, tensor) in whole.layout.tensors.enumerated() where tensor.shape.count == 1 {
      let values = state.mutableVector.part(tensor.region)
      for i in 0..<values.count { values[i] += Float(random.uniform(batch: 1_000_000 * (index + 1) + i)) }
    }
    var inputs = try FloatBuffer(count: rows * whole.inputCount)
    random.fillNormal(inputs.mutableVector, batch: 0, deviation: 1)
    for i in 0..<inputs.count {
      if let bound {
        inputs[i] = Float(random.index(below: bound, batch: 1, example: i))
      } else if (i / whole.inputCount + i % whole.inputCount) % 3 != 0 {
        inputs[i] = 0
      }
    }
    let targets = (0..<rows * whole.targetCount).map { Int32(random.index(below: whole.outputCount, batch: 2, example: $0)) }

    func evaluated(_ network: CompiledNetwork, by part: Int) throws -> (outputs: [UInt32], values: [Double]) {
      var workspace = try network.makeWorkspace()
      var (outputs, measurement) = ([UInt32](), Measurement(network.loss.defaultMeasures, outputs: network.outputCount))
      for first in stride(from: 0, to: rows, by: part) {
        let count = min(part, rows - first)
        workspace.inputs(rows: count).elements.copy(
          from: inputs.vector.part(Region(offset: first * network.inputCount, count: count * network.inputCount)))
        for i in 0..<count * network.targetCount { workspace.targets.classes[i] = targets[first * network.targetCount + i] }
        let found = try network.outputs(state, rows: count, workspace: &workspace).elements
        for i in 0..<found.count { outputs.append(found[i].bitPattern) }
        measurement.add(found.matrix(rows: count * network.predictionCount, columns: network.outputCount), workspace.targets)
      }
      return (outputs, measurement.values)
    }

    let expected = try evaluated(whole, by: rows)
    #expect(expected.values[0].isFinite)
    for part in [1, 2, 3, 5, 64] {
      let compiled = try CompiledNetwork(
        network, loss: CrossEntropy(), batchSize: part, isTrained: false, products: Products(threads: part % 2 + 1))
      let found = try evaluated(compiled, by: part)
      let difference = zip(found.outputs, expected.outputs).enumerated().first { $0.element.0 != $0.element.1 }?.offset
      #expect(difference == nil && found.values == expected.values, "\(part) rows")
    }
  }

  /// As many rows as fit, and not one more.
  @Test(arguments: ["linear", "mlp:33,12", "lenet", "resnet18:4"])
  func rowsFitInTheArena(model: String) throws {
    let network = try CompiledNetwork(
      ModelSpecification(model).network(inputShape: [16, 16, 1], outputs: 10), loss: CrossEntropy(), batchSize: 4)
    func arenaCount(_ rows: Int) throws -> Int {
      try CompiledNetwork(network.network, loss: network.loss, batchSize: rows, isTrained: false).arenaCount
    }
    for rows in [1, 2, 3, 17, 40] {
      let exact = try network.forEvaluation(rows: 40, arenaCount: arenaCount(rows))
      #expect(try exact.arenaCount == arenaCount(rows) && exact.batchSize >= rows)
      guard rows < 40 else { continue }
      let between = try (arenaCount(exact.batchSize) + arenaCount(exact.batchSize + 1)) / 2
      #expect(try network.forEvaluation(rows: 40, arenaCount: between).batchSize == exact.batchSize)
    }
    #expect(try network.forEvaluation(rows: 40, arenaCount: 0).batchSize == 1)
    #expect(try network.forEvaluation(rows: 40, arenaCount: .max).batchSize == 40)
  }
}
