import Networks
import Tensors
import TestSupport
import Testing

/// Slots in 8 bits in the training states of networks.
@Suite struct SlotPrecisionTests {
  private static let rules: [(name: String, slots: Int)] = [
    ("sgd", 0), ("momentum", 1), ("nesterov", 1), ("adam", 2), ("adamw", 2), ("rmsprop", 1),
  ]

  /// The size of a state: each slot of a parameter begins behind the one before, at a multiple of 16 floats, as tensors do.
  @Test func aSlotTakesAByteForEachNumberAndAFloatForEachBlock() throws {
    let specification = try ModelSpecification("resnet18:2")
    let network = try specification.network(inputShape: [9, 8, 2], outputs: 7)
    for (name, slots) in Self.rules {
      func compiled(_ precision: SlotPrecision) throws -> CompiledNetwork {
        try CompiledNetwork(network, loss: CrossEntropy(), batchSize: 2, optimizer: Optimizer(name, slotPrecision: precision))
      }
      let whole = try compiled(.float32)
      let coded = try compiled(.eightBit)
      #expect(whole.stateCount == whole.layout.count * (1 + slots) && whole.numberCount == whole.stateCount)
      let parameters = coded.layout.tensors.filter { $0.role == .parameter }.map(\.region.count)
      let slot = parameters.reduce(0) { $0 + (($1 + 3) / 4 + ($1 + 255) / 256 + 15) / 16 * 16 }
      #expect(coded.stateCount == coded.layout.count + slots * slot && coded.numberCount == coded.layout.count)
    }
  }

  /// A matrix of 5,000 rows is updated 2,048 rows at a time, and its slots are what the kernels make of the whole matrix at once. Every
  /// slot is where the sizes of those before put it, and nothing else of the state changes.
  @Test(arguments: ["momentum", "nesterov", "adam", "rmsprop"])
  func partsAreTheWhole(rule: String) throws {
    let (vocabulary, width) = (5000, 3)
    let optimizer = try Optimizer(rule, slotPrecision: .eightBit)
    let network = try CompiledNetwork(
      Network(input: [6]) {
        Embedding(vocabulary: vocabulary, width: width)
        LayerNormalization()
        Dense(vocabulary, perPosition: true)
      }, loss: CrossEntropy(), batchSize: 4, optimizer: optimizer)
    var state = try StateBuffer(count: network.stateCount)
    try network.layout.initialize(&state, seed: 3)
    var expected = try StateBuffer(count: network.stateCount)
    try expected.copy(from: state)
    var gradient = try StateBuffer(count: network.layout.count)
    var workspace = try network.makeWorkspace()
    let random = RandomSource(seed: 9, purpose: .synthesis)
    for update in 0..<3 {
      let inputs = workspace.inputs(rows: 4).elements
      for index in 0..<inputs.count { inputs[index] = Float(random.index(below: vocabulary, batch: update, example: index)) }
      for index in 0..<24 { workspace.targets.classes[index] = Int32(random.index(below: vocabulary, batch: update + 9, example: index)) }
      let context = PassContext(isTraining: true, seed: 1, batch: update + 1)
      try network.gradient(of: &expected, into: &gradient, context: context, workspace: &workspace)
      try network.update(&state, learningRate: 0.01, position: update, context: context, workspace: &workspace)
      var place = network.layout.count
      var places: [Int] = []
      for tensor in network.layout.tensors {
        places.append(place)
        place += (SlotPrecision.eightBit.floatCount(of: tensor.region.count) + 15) / 16 * 16
      }
      let distance = place - network.layout.count
      for (tensor, place) in zip(network.layout.tensors, places) {
        let vector = expected.mutableVector
        func slot(_ number: Int) -> SlotVector {
          let count = SlotPrecision.eightBit.floatCount(of: tensor.region.count)
          return SlotVector(
            vector.part(Region(offset: place + number * distance, count: count)), count: tensor.region.count, .eightBit)
        }
        let (x, g) = (vector.part(tensor.region), gradient.vector.part(tensor.region))
        switch rule {
        case "momentum": OptimizerKernels.momentum(x, g, velocity: slot(0), rate: 0.01, mu: 0.9)
        case "nesterov": OptimizerKernels.nesterov(x, g, velocity: slot(0), rate: 0.01, mu: 0.9)
        case "rmsprop": OptimizerKernels.rmsprop(x, g, square: slot(0), rate: 0.01, alpha: 0.99, epsilon: 1e-8)
        default:
          var (power1, power2) = (1.0, 1.0)
          for _ in 0...update { (power1, power2) = (power1 * 0.9, power2 * 0.999) }
          OptimizerKernels.adam(
            x, g, mean: slot(0), square: slot(1), rate: Float(0.01 / (1 - power1)), beta1: 0.9, beta2: 0.999,
            squareScale: Float(1 / (1 - power2).squareRoot()), epsilon: 1e-8)
        }
      }
      let different = (0..<state.count).first { state[$0].bitPattern != expected[$0].bitPattern }
      #expect(different == nil, "update \(update)")
    }
    let coded = (network.layout.count..<state.count).filter { state[$0].bitPattern != 0 }
    #expect(coded.count > 1000)
  }
}
