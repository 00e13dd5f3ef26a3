import Tensors

/// One step of a network, from a batch of inputs to a batch of outputs and back.
///
/// Activations are matrices, an example a row. A layer owns no memory: it says what it needs before the first
/// update, and gets views of it in every pass. So all memory of a network is one arena of known size.
public protocol Layer: Sendable {
  /// The shape of one example's output, channels first.
  /// - Throws: `NetworkError.shape` when the layer can't take such inputs.
  func outputShape(for inputShape: [Int]) throws(NetworkError) -> [Int]

  /// The parts of the training state that are its own: parameters, and buffers such as running statistics, named
  /// as in the equivalent PyTorch module. Passes give them in this order.
  func stateTensors(inputShape: [Int]) -> [TensorDescription]

  /// What it needs for batches of `batchSize`.
  func memory(inputShape: [Int], batchSize: Int) -> LayerMemory

  /// Writes `pass.output`.
  func forward(_ pass: ForwardPass)

  /// Writes `pass.inputGradient`, if wanted, and the gradients of its parameters, in this order of things: a
  /// parameter's target may be the parameter itself, so its old value must have been used before.
  func backward(_ pass: BackwardPass)
}

extension Layer {
  public func stateTensors(inputShape: [Int]) -> [TensorDescription] { [] }
  public func memory(inputShape: [Int], batchSize: Int) -> LayerMemory { LayerMemory() }
}

/// A layer's needs, in floats.
public struct LayerMemory: Sendable {
  /// Kept from a forward pass to its backward pass, besides input and output.
  public var saved = 0
  /// Free to use inside one pass; its contents are lost after it.
  public var scratch = 0
  /// Whether the output takes the input's place. Then the backward pass sees the output only, and `outputGradient`
  /// and `inputGradient` are the same memory too.
  public var isInPlace = false

  public init(saved: Int = 0, scratch: Int = 0, isInPlace: Bool = false) {
    self.saved = saved
    self.scratch = scratch
    self.isInPlace = isInPlace
  }
}

/// A part of the training state before it has a place.
public struct TensorDescription: Sendable {
  public enum Role: Sendable {
    /// Trained.
    case parameter
    /// Changed by training passes, not by gradients, such as running statistics.
    case buffer
  }

  public enum Initialization: Hashable, Sendable {
    case constant(Float)
    /// Normal with mean 0 and variance 2 / fanIn (He, Zhang, Ren, Sun 2015, equation 10).
    case heNormal(fanIn: Int)
  }

  public let name: String
  public let shape: [Int]
  public let role: Role
  public let initialization: Initialization

  public init(_ name: String, shape: [Int], role: Role = .parameter, initialization: Initialization) {
    self.name = name
    self.shape = shape
    self.role = role
    self.initialization = initialization
  }
}

/// Which update a pass belongs to, for layers whose randomness or statistics depend on it.
public struct PassContext: Sendable {
  /// Whether the pass is part of an update (batch statistics, dropout) or looks at a state (running statistics).
  public let isTraining: Bool
  public let seed: UInt64
  public let batch: Int

  public init(isTraining: Bool, seed: UInt64 = 0, batch: Int = 0) {
    self.isTraining = isTraining
    self.seed = seed
    self.batch = batch
  }
}

/// What a layer sees on the way forward.
public struct ForwardPass {
  /// examples × input features.
  public let input: Matrix
  /// examples × output features; the same memory as `input` for a layer in place.
  public let output: Matrix
  public let saved: Vector
  public let scratch: Vector
  public let context: PassContext
  let state: Vector
  let regions: [Region]

  /// Tensor `index` of the layer's `stateTensors`.
  public func tensor(_ index: Int) -> Vector { state.part(regions[index]) }
}

/// What a layer sees on the way back.
public struct BackwardPass {
  public let input: Matrix
  public let output: Matrix
  /// The loss's gradient by `output`.
  public let outputGradient: Matrix
  /// Where its gradient by `input` goes; nil where nobody needs it.
  public let inputGradient: Matrix?
  public let saved: Vector
  public let scratch: Vector
  public let context: PassContext
  let state: Vector
  let sink: GradientSink
  let regions: [Region]

  public func tensor(_ index: Int) -> Vector { state.part(regions[index]) }

  /// Where the gradient of tensor `index` goes.
  public func target(_ index: Int) -> GradientTarget {
    GradientTarget(values: sink.destination.part(regions[index]), scale: sink.scale, keep: sink.keep)
  }
}

/// Takes a gradient g as values ← keep · values + scale · g.
///
/// With the parameter itself as values, keep = 1 and scale = −η that is plain SGD's update, and no gradient is ever
/// stored (Lv et al. 2023, "Full parameter fine-tuning for large language models with limited resources").
public struct GradientTarget {
  public let values: Vector
  public let scale: Float
  public let keep: Float
}

/// Where all gradients of a backward pass go: a buffer laid out like the state, or the state itself.
struct GradientSink {
  let destination: Vector
  let scale: Float
  let keep: Float
}

/// What is wrong with a network or with values for it.
public enum NetworkError: Error, Equatable, CustomStringConvertible {
  case unknownModel(String)
  case unreadableWidths(String)
  case shape(String)
  case stateMismatch(String)

  public var description: String {
    switch self {
    case .unknownModel(let text): "no model is called '\(text)'; there are \(NetworkDescription.forms)"
    case .unreadableWidths(let text):
      "the model '\(text)' needs the widths of its hidden layers, whole numbers from 1 to 1000000, such as 'mlp:512,512'"
    case .shape(let text), .stateMismatch(let text): text
    }
  }
}
