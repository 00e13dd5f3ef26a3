import Tensors

/// Where each tensor of a network lies in the training state.
public struct StateLayout: Sendable {
  public struct Tensor: Sendable {
    /// As in the equivalent PyTorch module's `state_dict`.
    public let name: String
    public let shape: [Int]
    public let role: TensorDescription.Role
    public let region: Region
    let initialization: TensorDescription.Initialization
  }

  public private(set) var tensors: [Tensor] = []
  private var arena = ArenaLayout()

  public init() {}

  /// Length of the training state, in floats. Tensors start at aligned places; what lies between them stays zero.
  public var count: Int { arena.count }

  mutating func add(_ description: TensorDescription, prefix: String) -> Region {
    let region = arena.reserve(description.shape.reduce(1, *))
    tensors.append(
      Tensor(
        name: prefix.isEmpty ? description.name : "\(prefix).\(description.name)", shape: description.shape,
        role: description.role, region: region, initialization: description.initialization))
    return region
  }

  /// Gives every tensor its initial values, a pure function of the seed.
  public func initialize(_ state: inout StateBuffer, seed: UInt64) {
    let source = RandomSource(seed: seed, purpose: .initialization)
    for (index, tensor) in tensors.enumerated() {
      let values = state.vector.part(tensor.region)
      switch tensor.initialization {
      case .constant(let value): values.fill(value)
      case .heNormal(let fanIn): source.fillNormal(values, batch: index, deviation: (2 / Double(fanIn)).squareRoot())
      }
    }
  }

  /// Overwrites all tensors with values of the same names and shapes.
  /// - Parameter origin: where the values come from, for messages.
  public func load(
    _ values: [String: (shape: [Int], values: [Float])], from origin: String, into state: inout StateBuffer
  ) throws(NetworkError) {
    let unknown = Set(values.keys).subtracting(tensors.map(\.name)).sorted()
    guard unknown.isEmpty else {
      throw .stateMismatch("\(origin) has tensors this model has not: \(unknown.joined(separator: ", "))")
    }
    for tensor in tensors {
      guard let given = values[tensor.name] else {
        throw .stateMismatch("\(origin) lacks the tensor \(tensor.name) of shape \(tensor.shape)")
      }
      guard given.shape == tensor.shape else {
        throw .stateMismatch(
          "\(origin): the tensor \(tensor.name) has the shape \(given.shape), but this model's has \(tensor.shape)")
      }
      state.vector.part(tensor.region).copy(floats: given.values.span)
    }
  }

  /// The values of `tensor`, row by row.
  public func values(of tensor: Tensor, in state: borrowing StateBuffer) -> [Float] {
    let values = state.vector.part(tensor.region)
    return (0..<values.count).map { values[$0] }
  }
}
