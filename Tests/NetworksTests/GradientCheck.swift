import Networks
import Tensors

/// y = x + p with a parameter for every element of the batch. Its gradient is therefore the gradient with respect to
/// the input of the following layer.
struct InputTap: Layer {
  func placed(inputShape: [Int], in builder: inout NetworkBuilder) -> any PlacedLayer {
    let count = inputShape.reduce(1, *) * builder.batchSize
    return PlacedInputTap(
      outputShape: inputShape, shift: builder.add("shift", shape: [count], initialization: .constant(0)))
  }
}

private struct PlacedInputTap: PlacedLayer {
  let outputShape: [Int]
  let shift: Region

  func forward(_ pass: ForwardPass) {
    for index in 0..<pass.input.elements.count {
      pass.output.elements[index] = pass.input.elements[index] + pass.tensor(shift)[index]
    }
  }

  func backward(_ pass: BackwardPass) {
    pass.takeGradient(of: shift) { $0.add(pass.outputGradient.elements.vector) }
  }
}

/// Compares a network's gradients with central differences of its training loss.
struct GradientCheck {
  var layers: [any Layer]
  var inputShape: [Int]
  var batch: Int
  var classes = 3
  var loss: any Loss = CrossEntropy()
  /// Whether each label of an example belongs to a position, rather than one label to all positions.
  var isPerPosition = false
  /// The input; by default standard normal.
  var fillInput: ((MutableMatrix) -> Void)?
  var step: Float = 0.01
  /// The seed of the initial values. Differences are meaningless if they cross a kink, such as that of ReLU at
  /// 0.
  var seed: UInt64 = 5

  /// For each parameter, and for the input (as `shift`) unless `fillInput` is given: the distance between the gradient
  /// and the differences along each of its elements, as a fraction of the gradient's length, or of a hundredth of the whole
  /// network's where that is more: some gradients are zero, such as that of a bias before a normalisation. At most
  /// `samples` elements of a tensor are looked at.
  func errors(samples: Int = 40) throws -> [(tensor: String, error: Double)] {
    let tap: [any Layer] = fillInput == nil ? [InputTap()] : []
    let network = try CompiledNetwork(
      Network(input: inputShape) {
        tap
        layers
        Dense(classes, perPosition: isPerPosition)
      }, loss: loss, batchSize: batch)
    var state = try StateBuffer(count: network.stateCount)
    try network.layout.initialize(&state, seed: seed)
    let random = RandomSource(seed: 6, purpose: .synthesis)
    // Gains and biases are moved away from values that hide mistakes.
    for (index, tensor) in network.layout.tensors.enumerated() where tensor.shape.count == 1 && !tensor.name.hasSuffix("shift") {
      let values = state.mutableVector.part(tensor.region)
      let base = values[0]
      random.fillNormal(values, batch: 10 + index, deviation: 0.5)
      for index in 0..<values.count { values[index] += base }
    }
    var workspace = try network.makeWorkspace()
    let inputs = workspace.inputs(rows: batch)
    if let fillInput { fillInput(inputs) } else { random.fillNormal(inputs.elements, batch: 0, deviation: 1) }
    for index in workspace.targets.classes.indices {
      workspace.targets.classes[index] = Int32(random.index(below: classes, batch: 1, example: index))
    }
    for index in workspace.targets.values.indices {
      workspace.targets.values[index] = Float(random.uniform(batch: 2 + index))
    }
    let context = PassContext(isTraining: true, seed: 3, batch: 7)
    var gradient = try StateBuffer(count: network.layout.count)
    try network.gradient(of: &state, into: &gradient, context: context, workspace: &workspace)

    func length(_ slopes: [Double]) -> Double { slopes.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    let whole = length(gradient.span.indices.map { Double(gradient[$0]) })
    var errors: [(String, Double)] = []
    for tensor in network.layout.tensors where tensor.role == .parameter {
      let stride = max(1, tensor.region.count / samples)
      var (differences, slopes): ([Double], [Double]) = ([], [])
      for index in Swift.stride(from: tensor.region.offset, to: tensor.region.end, by: stride) {
        let value = state[index]
        func loss(_ steps: Float) throws -> Double {
          state[index] = value + steps * step
          return try network.trainingLoss(of: &state, context: context, workspace: &workspace)
        }
        // The error of four points is of fourth order in the step.
        let slope = try (8 * (loss(1) - loss(-1)) - (loss(2) - loss(-2))) / Double(12 * step)
        state[index] = value
        differences.append(slope - Double(gradient[index]))
        slopes.append(Double(gradient[index]))
      }
      errors.append((tensor.name, length(differences) / max(length(slopes), whole / 100)))
    }
    return errors
  }
}

extension CompiledNetwork {
  /// The values of the default measures for the first `rows` examples in `workspace`.
  func measured(_ state: borrowing StateBuffer, rows: Int, workspace: inout Workspace) throws -> [Double] {
    var measurement = Measurement(loss.defaultMeasures, outputs: outputCount)
    try evaluate(state, rows: rows, workspace: &workspace, into: &measurement)
    return measurement.values
  }
}
