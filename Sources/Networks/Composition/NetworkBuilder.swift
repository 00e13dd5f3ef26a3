import Tensors

/// What layers are placed with: the training state as it grows.
public struct NetworkBuilder {
  /// The most examples a pass will have.
  public let batchSize: Int
  /// Whether there will be backward passes, for which activations are kept.
  public let isTrained: Bool
  public private(set) var layout = StateLayout()
  /// What names of tensors begin with at the moment.
  private var prefix = ""
  private var streamCount = 0
  /// Tensors that are read part by part.
  private(set) var inParts: [TensorInParts] = []

  public init(batchSize: Int, isTrained: Bool = true) {
    self.batchSize = batchSize
    self.isTrained = isTrained
  }

  /// Adds a tensor to the state.
  /// - Parameters:
  ///   - name: its name within the layer's equivalent PyTorch module.
  ///   - shape: its shape there.
  ///   - role: whether it is trained, or carried along.
  ///   - storage: how its values lie in the state, where that is not as in PyTorch.
  ///   - initialization: what its values are at first.
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

  /// Says that the tensor at `region` is read part by part, with `ForwardPass.forEachPart` and `BackwardPass.takeGradients`, so that
  /// not all of it need be in memory.
  /// - Parameter partCount: the most floats of a part.
  mutating func readInParts(_ region: Region, partCount: Int) {
    inParts.append(TensorInParts(region: region, partCount: min(region.count, partCount)))
  }

  /// Shares a tensor that a layer before this one has added and reads part by part. Its gradient is the sum of both layers'.
  /// - Parameter name: its name in the state.
  /// - Throws: `NetworkError.shape` where there is no such tensor, or it has another shape.
  mutating func tie(to name: String, shape: [Int]) throws(NetworkError) -> Region {
    guard let tensor = layout.tensors.first(where: { $0.name == name }), tensor.shape == shape,
      let index = inParts.firstIndex(where: { $0.region == tensor.region }), !inParts[index].isTied
    else { throw .shape("a layer shares the tensor \(name) of shape \(shape), but there is none before it that can be shared with it") }
    inParts[index].isTied = true
    return tensor.region
  }

  /// A number no other layer of the network has, to tell its randomness from theirs.
  public mutating func newStream() -> Int {
    streamCount += 1
    return streamCount
  }

  /// Places a layer inside another.
  ///
  /// What it returns may work in place, as `ReLU` does; `Sequential`, whatever it holds, never does. So a composite that
  /// is given any layer puts it into a `Sequential` first.
  /// - Parameters:
  ///   - layer: the inner layer.
  ///   - name: what the names of its tensors begin with, followed by a dot; nothing where it is empty.
  ///   - inputShape: the shape of one example as the inner layer sees it.
  /// - Throws: `NetworkError.shape` when it can't take such inputs.
  public mutating func place(
    _ layer: any Layer, named name: String = "", inputShape: [Int]
  ) throws(NetworkError) -> any PlacedLayer {
    let outer = enter(name)
    defer { leave(to: outer) }
    return try layer.placed(inputShape: inputShape, in: &self)
  }

  /// Lets names of tensors begin with `name` and a dot from now on, behind what they begin with already.
  /// - Returns: what they began with, for `leave(to:)`.
  mutating func enter(_ name: String) -> String {
    defer { if !name.isEmpty { prefix += name + "." } }
    return prefix
  }

  mutating func leave(to prefix: String) { self.prefix = prefix }
}

/// A tensor of the state that layers read part by part.
struct TensorInParts: Sendable, Equatable {
  let region: Region
  /// The most floats of a part.
  let partCount: Int
  /// Whether a second layer shares it.
  var isTied = false
}
