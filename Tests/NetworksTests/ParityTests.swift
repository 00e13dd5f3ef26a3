import Datasets
import Formats
import Foundation
import Networks
import Tensors
import Testing

/// Compares five updates with PyTorch's, from the same state and batches. Tests/Fixtures/make_parity.py made the
/// files and describes their contents.
@Suite struct ParityTests {
  static let models: [(specification: String, fixture: String, classes: Int)] = [
    ("mlp:7,5", "mlp", 4), ("lenet", "lenet", 4), ("resnet18:2", "resnet18", 5), ("resnet50:2", "resnet50", 5),
    ("gpt:layers=2,heads=2,width=8,context=6", "gpt", 11),
  ]

  /// The optimizers by their names in the script, and ours with the learning rate.
  static let optimizers: [String: (optimizer: String, weightDecay: String?, learningRate: Double)] = [
    "sgd": ("sgd", nil, 0.01), "momentum": ("momentum", "0.01", 0.005), "adam": ("adam:0.9,0.999,1e-4", nil, 0.002),
    "nesterov": ("nesterov:0.8", nil, 0.02), "adamw": ("adamw:0.8,0.95,1e-4", "0.1", 0.002),
    "adam-decay": ("adam:0.9,0.999,1e-4", "0.1", 0.002), "rmsprop": ("rmsprop:0.9,1e-3", nil, 0.002),
  ]

  @Test(arguments: models)
  func fiveUpdatesAreAsPyTorchs(specification: String, fixture: String, classes: Int) throws {
    try compare(specification, fixture, classes, by: .builtin, tolerance: 1e-4)
  }

  /// Without ResNet-50, some of whose 52 rectified layers have numbers that other rounding moves across zero.
  @Test(arguments: models.filter { $0.fixture != "resnet50" })
  func updatesByOpenBLASAreToo(specification: String, fixture: String, classes: Int) throws {
    try compare(specification, fixture, classes, by: .openBLAS, tolerance: 1e-3)
  }

  private func compare(
    _ specification: String, _ fixture: String, _ classes: Int, by library: ProductLibrary, tolerance: Double
  ) throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/parity-\(fixture).safetensors")
    let tensors = Dictionary(uniqueKeysWithValues: try Safetensors.read(path: file.path).map { ($0.name, $0) })
    let inputs = try #require(tensors["inputs"]), labels = try #require(tensors["labels"])
    let batch = inputs.shape[1]
    let shape = Array(inputs.shape[2...])
    let isImage = shape.count == 3
    let model = try ModelSpecification(specification).network(
      inputShape: isImage ? [shape[1], shape[2], shape[0]] : shape, outputs: classes)

    var names = 0
    for (name, setting) in Self.optimizers where tensors["\(name).losses"] != nil {
      let network = try CompiledNetwork(
        model, loss: CrossEntropy(), batchSize: batch, optimizer: Optimizer(setting.optimizer, weightDecay: setting.weightDecay),
        products: Products(library))
      var state = try StateBuffer(count: network.stateCount)
      let initial = tensors.filter { $0.key.hasPrefix("initial.") }.map {
        (String($0.key.dropFirst("initial.".count)), ($0.value.shape, $0.value.values))
      }
      try network.layout.load(Dictionary(uniqueKeysWithValues: initial), from: file.path, into: &state)
      var workspace = try network.makeWorkspace()
      let losses = try #require(tensors["\(name).losses"]).values
      for update in losses.indices {
        let count = network.inputCount
        for row in 0..<batch {
          let start = (update * batch + row) * count
          for index in 0..<count {
            // Channels come first in PyTorch and last here.
            let target = isImage ? index % (count / shape[0]) * shape[0] + index / (count / shape[0]) : index
            workspace.inputs(rows: batch)[row: row][target] = inputs.values[start + index]
          }
        }
        let labelCount = workspace.targets.classes.count
        workspace.targets.classes = labels.values[update * labelCount..<(update + 1) * labelCount].map { Int32($0) }
        let context = PassContext(isTraining: true, batch: update + 1)
        if update == 0 {
          var copy = try StateBuffer(count: network.stateCount)
          try copy.copy(from: state)
          let loss = try network.trainingLoss(of: &copy, context: context, workspace: &workspace)
          #expect(abs(loss - Double(losses[0])) < 1e-5, "\(name): \(loss), not \(losses[0])")
        }
        try network.update(
          &state, learningRate: setting.learningRate, position: update, context: context, workspace: &workspace)
      }
      for tensor in network.layout.tensors {
        let expected = try #require(tensors["\(name).\(tensor.name)"]).values
        let found = try network.layout.values(of: tensor, in: state)
        let stride = max(1, found.count / 20)
        let largest = found.map(abs).max() ?? 0
        for (index, value) in expected.dropLast().enumerated() {
          #expect(abs(found[index * stride] - value) <= Float(tolerance) * largest, "\(name), \(tensor.name)[\(index * stride)]")
        }
        let norm = found.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
        #expect(abs(norm - Double(expected[expected.count - 1])) <= tolerance * norm, "\(name), \(tensor.name)")
        names += 1
      }
    }
    #expect(names > 0)
  }
}
