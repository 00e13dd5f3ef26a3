import Foundation
import Networks
import Tensors
import TestSupport
import Testing

/// A compiled model with a state and a workspace with a random batch, and the same model in double precision.
private struct Bench: ~Copyable {
  let network: CompiledNetwork
  var state: StateBuffer
  var workspace: CompiledNetwork.Workspace
  let inputs: [[Double]]
  let labels: [Int]

  init(_ model: String, inputShape: [Int], classes: Int, batch: Int, seed: UInt64 = 1) throws {
    let network = try CompiledNetwork(
      ModelSpecification(model).network(inputShape: inputShape, outputs: classes), loss: CrossEntropy(), batchSize: batch)
    var state = try StateBuffer(count: network.layout.count)
    var workspace = try network.makeWorkspace()
    try network.layout.initialize(&state, seed: seed)
    let random = RandomSource(seed: seed, purpose: .synthesis)
    // No bias is zero, so that no unit is at the kink of ReLU.
    for (index, tensor) in network.layout.tensors.enumerated() where tensor.shape.count == 1 {
      random.fillNormal(state.mutableVector.part(tensor.region), batch: 10 + index, deviation: 0.5)
    }
    let matrix = workspace.inputs(rows: batch)
    random.fillNormal(matrix.elements, batch: 1, deviation: 1)
    for row in 0..<batch { workspace.targets.classes[row] = Int32(random.index(below: classes, batch: 2, example: row)) }
    inputs = (0..<batch).map { row in (0..<matrix.columns).map { Double(matrix[row: row][$0]) } }
    labels = workspace.targets.classes.map(Int.init)
    self.network = network
    self.state = state
    self.workspace = workspace
  }

  var reference: DoublePerceptron {
    get throws { DoublePerceptron(tensors: try network.layout.tensors.map { ($0.shape, try network.layout.values(of: $0, in: state)) }) }
  }

  /// The values of all tensors, without the padding between them.
  func flat(_ buffer: borrowing StateBuffer) throws -> [Double] {
    try network.layout.tensors.flatMap { try network.layout.values(of: $0, in: buffer) }.map(Double.init)
  }
}

@Suite struct MultilayerPerceptronTests {
  static let shapes: [(model: String, inputShape: [Int], classes: Int, batch: Int)] = [
    ("linear", [1, 1, 1], 2, 1), ("linear", [7], 3, 5), ("mlp:1", [3], 2, 2), ("mlp:5", [2, 3, 1], 4, 3),
    ("mlp:6,3,7", [11], 5, 9), ("mlp:17", [33], 10, 8),
  ]

  @Test(arguments: shapes)
  func gradientsMatchCentralDifferencesInDouble(
    model: String, inputShape: [Int], classes: Int, batch: Int
  ) throws {
    var bench = try Bench(model, inputShape: inputShape, classes: classes, batch: batch)
    var gradient = try StateBuffer(count: bench.network.layout.count)
    try bench.network.gradient(
      of: &bench.state, into: &gradient, context: PassContext(isTraining: true), workspace: &bench.workspace)
    let found = try bench.flat(gradient)
    let reference = try bench.reference
    let step = 1e-6
    var index = 0
    var worst = 0.0
    func compare(_ path: WritableKeyPath<DoublePerceptron, Double>) {
      var (up, down) = (reference, reference)
      up[keyPath: path] += step
      down[keyPath: path] -= step
      let expected = (up.loss(bench.inputs, bench.labels) - down.loss(bench.inputs, bench.labels)) / (2 * step)
      worst = max(worst, abs(found[index] - expected))
      index += 1
    }
    for (l, layer) in reference.layers.enumerated() {
      for (o, row) in layer.weight.enumerated() { for i in row.indices { compare(\.layers[l].weight[o][i]) } }
      for o in layer.bias.indices { compare(\.layers[l].bias[o]) }
    }
    #expect(index == found.count)
    #expect(worst < 2e-6)
  }

  @Test(arguments: shapes)
  func updatesMatchDoublePrecision(model: String, inputShape: [Int], classes: Int, batch: Int) throws {
    var bench = try Bench(model, inputShape: inputShape, classes: classes, batch: batch)
    var reference = try bench.reference
    for _ in 0..<30 {
      try bench.network.update(
        &bench.state, learningRate: 0.1, position: 0, context: PassContext(isTraining: true),
        workspace: &bench.workspace)
      reference.descend(bench.inputs, bench.labels, learningRate: 0.1)
    }
    let scale = reference.parameters.map(abs).max() ?? 1
    for (found, expected) in zip(try bench.flat(bench.state), reference.parameters) {
      #expect(abs(found - expected) < 1e-5 * scale)
    }
  }

  @Test func evaluationMatchesDoublePrecisionAndIgnoresUnusedRows() throws {
    var bench = try Bench("mlp:6", inputShape: [5], classes: 4, batch: 7)
    for rows in [1, 3, 7] {
      let measured = try bench.network.measured(bench.state, rows: rows, workspace: &bench.workspace)
      let inputs = Array(bench.inputs[..<rows]), labels = Array(bench.labels[..<rows])
      #expect(abs(measured[0] - (try bench.reference).loss(inputs, labels)) < 1e-6)
      #expect((measured[1] * Double(rows)).rounded() == measured[1] * Double(rows) && (0...1).contains(measured[1]))
    }
  }

  @Test func updatesReadNothingAnEarlierOneLeft() throws {
    var used = try Bench("mlp:6,3", inputShape: [5], classes: 4, batch: 7)
    var fresh = try Bench("mlp:6,3", inputShape: [5], classes: 4, batch: 7)
    _ = try used.network.measured(used.state, rows: 2, workspace: &used.workspace)
    var gradient = try StateBuffer(count: used.network.layout.count)
    try used.network.gradient(of: &used.state, into: &gradient, context: PassContext(isTraining: true), workspace: &used.workspace)
    for index in 0..<2 {
      let context = PassContext(isTraining: true, batch: index)
      try used.network.update(
        &used.state, learningRate: 0.1, position: index, context: context, workspace: &used.workspace)
      try fresh.network.update(
        &fresh.state, learningRate: 0.1, position: index, context: context, workspace: &fresh.workspace)
    }
    #expect(try Digest(of: used.state, updateCount: 2) == (try Digest(of: fresh.state, updateCount: 2)))
  }

  @Test func initializationIsHesAndTheSeeds() throws {
    let network = try CompiledNetwork(
      ModelSpecification("mlp:256").network(inputShape: [200], outputs: 10), loss: CrossEntropy(), batchSize: 1)
    func initial(_ seed: UInt64) throws -> StateBuffer {
      var state = try StateBuffer(count: network.layout.count)
      try network.layout.initialize(&state, seed: seed)
      return state
    }
    let state = try initial(3)
    let weight = try network.layout.values(of: network.layout.tensors[0], in: state).map(Double.init)
    let variance = weight.reduce(0) { $0 + $1 * $1 } / Double(weight.count)
    #expect(abs(variance * 200 / 2 - 1) < 0.03)
    #expect(try network.layout.values(of: network.layout.tensors[1], in: state).allSatisfy { $0 == 0 })
    #expect(try Digest(of: state, updateCount: 0) == (try Digest(of: try initial(3), updateCount: 0)))
    #expect(try Digest(of: state, updateCount: 0) != (try Digest(of: try initial(4), updateCount: 0)))
  }

  @Test func namesAndShapesArePyTorchs() throws {
    let network = try CompiledNetwork(
      ModelSpecification("mlp:6,3").network(inputShape: [1, 2, 2], outputs: 4), loss: CrossEntropy(), batchSize: 1)
    #expect(network.layout.tensors.map(\.name) == ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"])
    #expect(network.layout.tensors.map(\.shape) == [[6, 4], [6], [3, 6], [3], [4, 3], [4]])
  }

  @Test func loadingChecksNamesAndShapes() throws {
    let network = try CompiledNetwork(ModelSpecification("linear").network(inputShape: [2], outputs: 2), loss: CrossEntropy(), batchSize: 1)
    var state = try StateBuffer(count: network.layout.count)
    let good: [String: (shape: [Int], values: [Float])] = ["0.weight": ([2, 2], [1, 2, 3, 4]), "0.bias": ([2], [5, 6])]
    try network.layout.load(good, from: "f", into: &state)
    #expect(try network.layout.tensors.map { try network.layout.values(of: $0, in: state) } == [[1, 2, 3, 4], [5, 6]])
    for bad in [
      good.filter { $0.key != "0.bias" }, good.merging(["x": ([1], [0])]) { $1 }, good.merging(["0.bias": ([1, 2], [5, 6])]) { $1 },
    ] {
      #expect(throws: StateMismatch.self) { try network.layout.load(bad, from: "f", into: &state) }
    }
  }

  @Test(arguments: ["", "mlp", "mlp:", "mlp:0", "mlp:5,", "mlp:x", "mlp:99999999", "linear:3", "transformer"])
  func unknownModels(specification: String) {
    #expect(throws: NetworkError.self) { try ModelSpecification(specification) }
  }
}
