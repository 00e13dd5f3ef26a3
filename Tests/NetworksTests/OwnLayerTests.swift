import Foundation
import Networks
import Tensors
import Testing

// Uses only public API, like another package: a custom layer, composite layer, loss and measure.

/// y = tanh(a x), with one learned factor. Its backward pass reads its output.
private struct Tanh: Layer {
  func placed(inputShape: [Int], in builder: inout NetworkBuilder) -> any PlacedLayer {
    PlacedTanh(outputShape: inputShape, factor: builder.add("factor", shape: [1], initialization: .constant(1)))
  }
}

private struct PlacedTanh: PlacedLayer {
  let outputShape: [Int]
  let factor: Region

  func forward(_ pass: ForwardPass) throws(PagingError) {
    let factor = pass.tensor(factor)[0]
    for i in 0..<pass.input.elements.count { pass.output.elements[i] = tanh(factor * pass.input.elements[i]) }
  }

  func backward(_ pass: BackwardPass) throws(PagingError) {
    let (x, y, gradient) = (pass.input.elements, pass.output.elements, pass.outputGradient.elements)
    let factor = pass.tensor(factor)[0]
    var sum: Float = 0
    for i in 0..<x.count {
      gradient[i] *= 1 - y[i] * y[i]
      sum += gradient[i] * x[i]
      pass.inputGradient?.elements[i] = factor * gradient[i]
    }
    pass.takeGradient(of: self.factor) { $0.values[0] = $0.keep * $0.values[0] + $0.scale * sum }
  }
}

/// y = f(x) ⊙ g(x): a gate (Dauphin et al. 2017, "Language modeling with gated convolutional networks"), with f and g any
/// layers.
private struct Gated: Layer {
  let value: [NamedLayer]
  let gate: [NamedLayer]

  init(@LayerBuilder value: () -> [NamedLayer], @LayerBuilder gate: () -> [NamedLayer]) {
    self.value = value()
    self.gate = gate()
  }

  func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    let value = try builder.place(Sequential(value), named: "value", inputShape: inputShape)
    let gate = try builder.place(Sequential(gate), named: "gate", inputShape: inputShape)
    guard value.outputShape == gate.outputShape else { throw .shape("a gate has the shape of what it gates") }
    return PlacedGated(
      value: value, gate: gate, inputCount: inputShape.reduce(1, *) * builder.batchSize,
      outputCount: value.outputShape.reduce(1, *) * builder.batchSize)
  }
}

private struct PlacedGated: PlacedLayer {
  let value: any PlacedLayer
  let gate: any PlacedLayer
  let outputShape: [Int]
  let memory: LayerMemory
  private let saved: (value: Region, gate: Region)
  private let outputs: (value: Region, gate: Region)
  private let gradient: Region
  private let gateInput: Region
  private let innerScratch: Region

  init(value: any PlacedLayer, gate: any PlacedLayer, inputCount: Int, outputCount: Int) {
    (self.value, self.gate, outputShape) = (value, gate, value.outputShape)
    var kept = ArenaLayout()
    saved = (kept.reserve(value.memory.saved), kept.reserve(gate.memory.saved))
    outputs = (kept.reserve(outputCount), kept.reserve(outputCount))
    var scratch = ArenaLayout()
    gradient = scratch.reserve(outputCount)
    gateInput = scratch.reserve(inputCount)
    innerScratch = scratch.reserve(max(value.memory.backwardScratch, gate.memory.backwardScratch))
    memory = LayerMemory(
      saved: kept.count, forwardScratch: max(value.memory.forwardScratch, gate.memory.forwardScratch),
      backwardScratch: scratch.count, readsOutput: false)
  }

  func forward(_ pass: ForwardPass) throws(PagingError) {
    let (rows, columns) = (pass.output.rows, pass.output.columns)
    let value = pass.saved.part(outputs.value).matrix(rows: rows, columns: columns)
    let gate = pass.saved.part(outputs.gate).matrix(rows: rows, columns: columns)
    try self.value.forward(
      pass.inner(input: pass.input, output: value, saved: pass.saved.part(saved.value), scratch: pass.scratch))
    try self.gate.forward(
      pass.inner(input: pass.input, output: gate, saved: pass.saved.part(saved.gate), scratch: pass.scratch))
    for i in 0..<value.elements.count { pass.output.elements[i] = value.elements[i] * gate.elements[i] }
  }

  func backward(_ pass: BackwardPass) throws(PagingError) {
    let (rows, columns) = (pass.output.rows, pass.output.columns)
    let value = pass.saved.part(outputs.value).matrix(rows: rows, columns: columns)
    let gate = pass.saved.part(outputs.gate).matrix(rows: rows, columns: columns)
    let gradient = pass.scratch.part(gradient).matrix(rows: rows, columns: columns)
    for i in 0..<gradient.elements.count {
      gradient.elements[i] = pass.outputGradient.elements[i] * gate.elements[i]
      pass.outputGradient.elements[i] *= value.elements[i]
    }
    try self.value.backward(
      pass.inner(
        input: pass.input, output: value, outputGradient: gradient, inputGradient: pass.inputGradient,
        saved: pass.saved.part(saved.value), scratch: pass.scratch.part(innerScratch)))
    let gateInput = pass.inputGradient.map { pass.scratch.part(self.gateInput).matrix(rows: $0.rows, columns: $0.columns) }
    try self.gate.backward(
      pass.inner(
        input: pass.input, output: gate, outputGradient: pass.outputGradient, inputGradient: gateInput,
        saved: pass.saved.part(saved.gate), scratch: pass.scratch.part(innerScratch)))
    if let gateInput { pass.inputGradient?.elements.add(gateInput.elements.vector) }
  }
}

/// log cosh(x − t), averaged over the numbers of a prediction.
struct LogCosh: ElementwiseLoss {
  func value(_ output: Double, target: Double) -> Double { log(cosh(output - target)) }
  func slope(_ output: Float, target: Float) -> Float { tanh(output - target) }
}

/// The largest distance of a prediction from its target.
private struct LargestError: Measure {
  let name = "testLargestError"

  func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double]) {
    for i in 0..<outputs.elements.count {
      sums[0] = max(sums[0], Double(abs(outputs.elements[i] - targets.values[i])))
    }
  }

  func value(_ sums: [Double], predictions: Int) -> Double { sums[0] }
}

@Suite struct OwnLayerTests {
  private static let gate = Gated {
    Dense(4)
    Tanh()
  } gate: {
    Dense(4)
    BatchNormalization()
    Tanh().named("squash")
    ReLU()
  }

  /// After a layer that reads its own output, no layer may work in place on that output. Gates also occur in blocks,
  /// and blocks in gates.
  private static let networks: [[any Layer]] = [
    [Tanh()], [Tanh(), ReLU()], [gate], [gate, ReLU(), Tanh(), ReLU()], [Dense(4), Residual { gate }, Tanh()],
    [Gated { Residual { Tanh() } } gate: { ReLU() }], [Dense(4), Residual { Tanh() }],
  ]

  @Test(arguments: networks.indices)
  func gradientsMatchDifferences(index: Int) throws {
    for loss in [CrossEntropy(), LogCosh()] as [any Loss] {
      let check = GradientCheck(
        layers: Self.networks[index], inputShape: [3], batch: 5, loss: loss, step: 2e-3, seed: 1)
      for (tensor, error) in try check.errors() { #expect(error < 0.005, "\(loss), \(tensor): \(error)") }
    }
  }

  @Test func tensorsAreNamedByPlaceOrByName() throws {
    let widths: [Int] = [6, 5]
    let isDeep = true
    let network = Network(input: [2, 2, 1]) {
      for width in widths {
        Dense(width)
        ReLU()
      }
      if isDeep { Self.gate.named("gated") }
      if widths.count > 2 { Dense(7) } else { Tanh() }
      [ReLU(), Dense(1)] as [any Layer]
    }
    let compiled = try CompiledNetwork(network, loss: MeanSquaredError(), batchSize: 2)
    #expect(
      compiled.layout.tensors.map(\.name) == [
        "0.weight", "0.bias", "2.weight", "2.bias", "gated.value.0.weight", "gated.value.0.bias", "gated.value.1.factor",
        "gated.gate.0.weight", "gated.gate.0.bias", "gated.gate.1.weight", "gated.gate.1.bias", "gated.gate.1.running_mean",
        "gated.gate.1.running_var", "gated.gate.squash.factor", "5.factor", "7.weight", "7.bias",
      ])
  }

  @Test func tensorsOfOneNameAreRefused() {
    let network = Network(input: [3]) {
      Dense(3).named("fc")
      Dense(2).named("fc")
    }
    let error = #expect(throws: NetworkError.self) {
      try CompiledNetwork(network, loss: CrossEntropy(), batchSize: 1)
    }
    #expect(error?.description.contains("'fc.weight'") == true)
  }

  /// A small regression with a measure beside the loss; each example has one target.
  @Test func anImageGivesOneNumberAndLearnsIt() throws {
    let network = Network(input: [8, 8, 1]) {
      Dense(32)
      ReLU()
      Dense(1)
    }
    let compiled = try CompiledNetwork(network, loss: LogCosh(), batchSize: 16, optimizer: Optimizer("adam"))
    #expect(compiled.outputShape == [1] && compiled.targetCount == 1 && compiled.targetShape == [])
    var state = try StateBuffer(count: compiled.stateCount)
    try compiled.layout.initialize(&state, seed: 2)
    var workspace = try compiled.makeWorkspace()
    RandomSource(seed: 3, purpose: .synthesis).fillNormal(workspace.inputs(rows: 16).elements, batch: 0, deviation: 1)
    for row in 0..<16 { workspace.targets.values[row] = 2 * workspace.inputs(rows: 16)[row: row][9] }
    func measured() throws -> [Double] {
      var measurement = Measurement([MeanLoss(LogCosh()), LargestError()], outputs: 1)
      try compiled.evaluate(state, rows: 16, workspace: &workspace, into: &measurement)
      return measurement.values
    }
    let before = try measured()
    for update in 0..<200 {
      try compiled.update(
        &state, learningRate: 0.01, position: update, context: PassContext(isTraining: true, batch: update + 1),
        workspace: &workspace)
    }
    let after = try measured()
    #expect(after[0] < before[0] / 100 && after[1] < before[1] / 10, "\(before), \(after)")
  }
}
