import Networks
import Tensors
import Testing

@Suite struct ImageLayerTests {
  /// Unusual shapes: single pixels, batches of one, strides that leave pixels over, windows as large as the image.
  static let chains: [(layers: [any Layer], shape: [Int], batch: Int)] = [
    ([Convolution(3, size: 1)], [1, 1, 1], 1), ([Convolution(2, size: 3, padding: 1)], [1, 1, 3], 2),
    ([Convolution(5, size: 3, stride: 2, padding: 1, bias: false)], [6, 7, 2], 3),
    ([Convolution(4, size: 2, stride: 3)], [7, 5, 3], 1), ([Convolution(3, size: 5, padding: 2)], [5, 5, 1], 2),
    ([Convolution(3, size: 4)], [4, 4, 2], 2), ([Convolution(6, size: 1, stride: 2, bias: false)], [5, 4, 3], 2),
    ([BatchNormalization()], [1, 1, 3], 4), ([BatchNormalization()], [3, 2, 5], 1),
    ([Convolution(4, size: 3, padding: 1), BatchNormalization(), ReLU()], [4, 3, 2], 3),
    ([MaxPooling(2)], [5, 4, 3], 2), ([MaxPooling(3, stride: 2, padding: 1)], [6, 5, 3], 1),
    ([AveragePooling(2)], [5, 4, 3], 2), ([AveragePooling(3, stride: 2, padding: 1)], [6, 5, 2], 2),
    ([GlobalAveragePooling()], [3, 5, 4], 3), ([GlobalAveragePooling()], [1, 1, 2], 1),
    ([Convolution(16, size: 3, padding: 1), Convolution(7, size: 3)], [14, 15, 9], 5),
  ]

  @Test(arguments: chains.indices)
  func gradientsMatchDifferences(index: Int) throws {
    let (layers, shape, batch) = Self.chains[index]
    for (tensor, error) in try GradientCheck(layers: layers, inputShape: shape, batch: batch, step: 5e-4).errors() {
      #expect(error < 0.005, "\(layers) at \(shape), \(tensor): \(error)")
    }
  }

  @Test(arguments: ["lenet", "resnet18:3", "resnet50:2"])
  func aNetworksGradientsMatchDifferences(model: String) throws {
    let network = try ModelSpecification(model).network(inputShape: [13, 12, 2], outputs: 4)
    let check = GradientCheck(layers: network.layers.map(\.layer), inputShape: [13, 12, 2], batch: 3, step: 2e-4)
    // With many units, some steps cross the kinks of ReLU.
    let errors = try check.errors(samples: 12).map(\.error).sorted()
    #expect(errors[errors.count / 2] < 0.02, "\(errors)")
  }

  @Test func layersRefuseWhatDoesNotFit() {
    let bad: [(layer: any Layer, shape: [Int])] = [
      (Convolution(3, size: 5), [4, 4, 1]), (Convolution(3, size: 1), [7]), (MaxPooling(3), [2, 2, 1]),
      (MaxPooling(2, padding: 2), [8, 8, 1]), (AveragePooling(2), [4]), (Dense(0), [3]), (Convolution(0, size: 1), [3, 3, 1]),
      (Dropout(1), [3]), (Embedding(vocabulary: 0, width: 2), [3]), (CausalSelfAttention(heads: 0), [3, 3]),
      (Dense(1), []), (Dense(1), [3, 0]), (Sequential {}, [3]),
    ]
    for (layer, shape) in bad {
      #expect(throws: NetworkError.self) {
        try CompiledNetwork(
          Network(input: shape) {
            layer
            Dense(2)
          }, loss: CrossEntropy(), batchSize: 1)
      }
    }
    for (model, shape) in [("lenet", [8, 8, 1]), ("resnet18", [64])] {
      #expect(throws: NetworkError.self) { try ModelSpecification(model).network(inputShape: shape, outputs: 2) }
    }
  }

  /// Without backward passes, layers share memory, and nothing else changes.
  @Test(arguments: ["lenet", "resnet18:2", "resnet50:2"])
  func evaluationTakesLessMemoryAndGivesTheSame(model: String) throws {
    let description = try ModelSpecification(model).network(inputShape: [13, 12, 2], outputs: 4)
    func loss(isTrained: Bool) throws -> (loss: Double, count: Int) {
      let network = try CompiledNetwork(description, loss: CrossEntropy(), batchSize: 5, isTrained: isTrained)
      var state = try StateBuffer(count: network.stateCount)
      try network.layout.initialize(&state, seed: 1)
      var workspace = try network.makeWorkspace()
      RandomSource(seed: 2, purpose: .synthesis).fillNormal(workspace.inputs(rows: 5).elements, batch: 0, deviation: 1)
      return (try network.measured(state, rows: 4, workspace: &workspace)[0], network.arenaCount)
    }
    let (trained, evaluated) = (try loss(isTrained: true), try loss(isTrained: false))
    #expect(evaluated.loss == trained.loss)
    #expect(evaluated.count < trained.count)
  }
}
