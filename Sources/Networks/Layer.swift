import Tensors

/// What one step of a network does, as a value: `Dense(128)`, `ReLU()`.
///
/// The shape of one example has its channels last: [features], [positions, channels] or [height, width, channels]. So
/// a batch is a matrix with a row for each example, and just as well one with a row for each position of each example
/// and a column for each channel.
public protocol Layer: Sendable {
  /// Gives the layer its place in a network: fixes its shapes and adds its tensors to the training state.
  /// - Throws: `NetworkError.shape` when it can't take such inputs.
  func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer
}

/// A layer in its place: from a batch of inputs to a batch of outputs and back.
///
/// It owns no memory: it says what it needs before the first update, and gets views of it in every pass. So all memory
/// of a network is one arena of known size.
public protocol PlacedLayer: Sendable {
  /// The shape of one example's output.
  var outputShape: [Int] { get }

  var memory: LayerMemory { get }

  /// Writes `pass.output`.
  func forward(_ pass: ForwardPass)

  /// Writes `pass.inputGradient`, if wanted, and the gradients of its parameters, in this order: where a gradient is
  /// taken, the parameter itself may change, so its old value must have been used before.
  func backward(_ pass: BackwardPass)
}

extension PlacedLayer {
  public var memory: LayerMemory { LayerMemory() }
}

/// A layer's needs, in floats.
public struct LayerMemory: Sendable {
  /// Kept from a forward pass to its backward pass, besides input and output.
  public var saved = 0
  /// Free to use inside one pass; its contents are lost after it.
  public var forwardScratch = 0
  public var backwardScratch = 0
  /// Whether the output takes the input's place. Then the backward pass sees the output only, and `outputGradient`
  /// and `inputGradient` are the same memory too.
  public var isInPlace = false

  public init(saved: Int = 0, forwardScratch: Int = 0, backwardScratch: Int = 0, isInPlace: Bool = false) {
    self.saved = saved
    self.forwardScratch = forwardScratch
    self.backwardScratch = backwardScratch
    self.isInPlace = isInPlace
  }
}

/// What layers are placed with: the training state as it grows.
public struct NetworkBuilder {
  /// The most examples a pass will have.
  public let batchSize: Int
  /// Whether there will be backward passes, for which activations are kept.
  public let isTrained: Bool
  public internal(set) var layout = StateLayout()
  /// What names of tensors begin with at the moment.
  private var prefix = ""
  private var streamCount = 0

  public init(batchSize: Int, isTrained: Bool = true) {
    self.batchSize = batchSize
    self.isTrained = isTrained
  }

  /// Adds a tensor to the state.
  /// - Parameters:
  ///   - name: its name within the layer's equivalent PyTorch module.
  ///   - shape: its shape there.
  /// - Returns: where it lies in the state.
  public mutating func add(
    _ name: String, shape: [Int], role: StateLayout.Role = .parameter,
    storage: StateLayout.Storage = .rowMajor, initialization: StateLayout.Initialization
  ) -> Region {
    layout.add(prefix + name, shape: shape, role: role, storage: storage, initialization: initialization)
  }

  /// Names a count of updates that PyTorch keeps, such as `num_batches_tracked`. It is the state's own update count.
  public mutating func addCounter(_ name: String) {
    layout.addCounter(prefix + name)
  }

  /// A number no other layer of the network has, to tell its randomness from theirs.
  public mutating func newStream() -> Int {
    streamCount += 1
    return streamCount
  }

  /// Places a layer whose tensors' names begin with `name` and a dot.
  mutating func place(
    _ layer: any Layer, named name: String, inputShape: [Int]
  ) throws(NetworkError) -> any PlacedLayer {
    let outer = prefix
    defer { prefix = outer }
    if !name.isEmpty { prefix += name + "." }
    return try layer.placed(inputShape: inputShape, in: &self)
  }
}
