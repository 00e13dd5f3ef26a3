import Networks
import Tensors

/// One update of each model, its batch in memory, one thread; beside it the model's multiply-adds as a single large
/// matrix product, which is what a machine's multipliers allow where nothing is saved.
func registerUpdates() {
  update("mlp:128", inputShape: [784], batchSize: 8)
  update("mlp:512,512", inputShape: [784], batchSize: 32)
  update("lenet", inputShape: [28, 28, 1], batchSize: 32)
  update("resnet18:16", inputShape: [32, 32, 3], batchSize: 8)
  update("gpt:layers=2,width=64,context=32", inputShape: [32], batchSize: 8, optimizer: "adamw")
}

private func update(_ model: String, inputShape: [Int], batchSize: Int, optimizer: String = "sgd") {
  let name = "update: \(model), batch \(batchSize)"
  // Of one update a sample's two readings of the clock would be a part.
  let repetitions = model == "mlp:128" ? 20 : 1
  for library in ProductLibrary.allCases {
    measure(library == .builtin ? name : "\(name), by OpenBLAS", repetitions: repetitions) {
      try UpdateWork(model, inputShape: inputShape, batchSize: batchSize, optimizer: optimizer, products: Products(library))
    } body: { work in
      try work.update()
    }
  }
  measure("\(name), its multiply-adds as one product", repetitions: repetitions) {
    let work = try UpdateWork(model, inputShape: inputShape, batchSize: batchSize, optimizer: optimizer)
    return try Product.of(multiplyAdds: work.multiplyAdds)
  } body: { product in
    product.fast()
  }
}

/// A network and a batch of noise.
final class UpdateWork {
  let multiplyAdds: Int
  private(set) var state: StateBuffer
  private let network: CompiledNetwork
  private var workspace: CompiledNetwork.Workspace
  private var count = 0

  init(_ model: String, inputShape: [Int], batchSize: Int, optimizer: String = "sgd", products: Products = Products()) throws {
    let specification = try ModelSpecification(model)
    let isText = specification.context != nil
    let classCount = isText ? 65 : 10
    let description = try specification.network(inputShape: inputShape, outputs: classCount)
    network = try CompiledNetwork(description, loss: CrossEntropy(), batchSize: batchSize, optimizer: Optimizer(optimizer), products: products)
    multiplyAdds = Int(network.multiplyAdds)
    state = try StateBuffer(count: network.stateCount)
    try network.layout.initialize(&state, seed: 1)
    workspace = try network.makeWorkspace()
    let inputs = workspace.inputs(rows: batchSize).elements
    let source = RandomSource(seed: 2, purpose: .synthesis)
    if isText {
      for i in 0..<inputs.count { inputs[i] = Float(source.index(below: classCount, batch: 1, example: i)) }
    } else {
      source.fillNormal(inputs, batch: 1, deviation: 1)
    }
    for i in workspace.targets.classes.indices {
      workspace.targets.classes[i] = Int32(source.index(below: classCount, batch: 2, example: i))
    }
  }

  /// A rate so small that thousands of updates on one batch change nothing that time depends on.
  func update() throws {
    try network.update(
      &state, learningRate: 1e-4, position: count, context: PassContext(isTraining: true, batch: 1),
      workspace: &workspace)
    count += 1
  }
}
