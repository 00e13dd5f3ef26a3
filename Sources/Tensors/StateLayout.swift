/// Where each named tensor lies in the training state.
public struct StateLayout: Sendable {
  public enum Role: Sendable {
    /// Trained by gradients.
    case parameter
    /// Changed by training passes, not by gradients, such as running statistics.
    case buffer
  }

  /// How a tensor's values lie in the state.
  public enum Storage: Sendable, Equatable {
    case rowMajor
    /// PyTorch's outputs × channels × positions are positions × channels × outputs here, as matrix products read them and
    /// where channels come last: the weights of a convolution, those that see a flattened image, and plain matrices.
    case inputsFirst(channels: Int)
  }

  public enum Initialization: Hashable, Sendable {
    case constant(Float)
    case normal(deviation: Float)

    /// Normal with mean 0 and variance 2 / fan (He, Zhang, Ren, Sun 2015, equations 10 and 14).
    public static func heNormal(fan: Int) -> Initialization {
      .normal(deviation: Float((2 / Double(fan)).squareRoot()))
    }
  }

  public struct Tensor: Sendable {
    /// The name in the `state_dict` of the equivalent PyTorch module.
    public let name: String
    /// The shape there.
    public let shape: [Int]
    public let role: Role
    public let storage: Storage
    public let region: Region
    let initialization: Initialization
  }

  public private(set) var tensors: [Tensor] = []
  /// Names under which PyTorch stores a count of updates, such as `bn1.num_batches_tracked`.
  public private(set) var counters: [String] = []
  private var arena = ArenaLayout()

  public init() {}

  /// Length of all tensors together, in floats. Tensors start at aligned places; what lies between them stays zero.
  public var count: Int { arena.count }

  /// Length of the largest parameter, in floats; 0 where there is none.
  public var largestParameterCount: Int {
    tensors.reduce(0) { max($0, $1.role == .parameter ? $1.region.count : 0) }
  }

  /// Adds a tensor behind the others.
  /// - Returns: where it lies in the state.
  public mutating func add(
    _ name: String, shape: [Int], role: Role, storage: Storage = .rowMajor, initialization: Initialization
  ) -> Region {
    let region = arena.reserve(shape.reduce(1, *))
    tensors.append(
      Tensor(
        name: name, shape: shape, role: role, storage: storage, region: region, initialization: initialization))
    return region
  }

  /// Names a count of updates that PyTorch keeps, such as `num_batches_tracked`. It is the state's own update count.
  public mutating func addCounter(_ name: String) { counters.append(name) }

  /// A name that two tensors or counters have; nil where all differ.
  public var repeatedName: String? {
    var seen: Set<String> = []
    return (tensors.map(\.name) + counters).first { !seen.insert($0).inserted }
  }

  /// Gives every tensor its initial values, a pure function of the seed.
  public func initialize(_ state: inout StateBuffer, seed: UInt64) {
    let source = RandomSource(seed: seed, purpose: .initialization)
    for (index, tensor) in tensors.enumerated() {
      let values = state.mutableVector.part(tensor.region)
      switch tensor.initialization {
      case .constant(let value): values.fill(value)
      case .normal(let deviation): source.fillNormal(values, batch: index, deviation: Double(deviation))
      }
    }
  }

  /// Overwrites all tensors with values of the same names and shapes. Counters are passed over: a state starts at
  /// update 0.
  /// - Parameters:
  ///   - values: by name, row-major in the shapes given with them.
  ///   - origin: where the values come from, for messages.
  ///   - state: takes them.
  public func load(
    _ values: [String: (shape: [Int], values: [Float])], from origin: String, into state: inout StateBuffer
  ) throws(StateMismatch) {
    let unknown = Set(values.keys).subtracting(tensors.map(\.name)).subtracting(counters).sorted()
    guard unknown.isEmpty else {
      throw StateMismatch("\(origin) has tensors this model has not: \(unknown.joined(separator: ", "))")
    }
    for tensor in tensors {
      guard let given = values[tensor.name] else {
        throw StateMismatch("\(origin) lacks the tensor \(tensor.name) of shape \(tensor.shape)")
      }
      guard given.shape == tensor.shape else {
        throw StateMismatch(
          "\(origin): the tensor \(tensor.name) has the shape \(given.shape), but this model's has \(tensor.shape)")
      }
      let target = state.mutableVector.part(tensor.region)
      tensor.forEachIndex { target[$1] = given.values[$0] }
    }
  }

  /// Overwrites a part of a tensor.
  /// - Parameters:
  ///   - values: consecutive values, row by row of the tensor's shape.
  ///   - start: the index of the first of them.
  ///   - isTransposed: whether they go row by row of the transposed matrix instead: the tensor's first extent is then the
  ///     columns, and all others together are the rows.
  public func write(
    _ values: [Float], from start: Int, isTransposed: Bool = false, to tensor: Tensor, in state: inout StateBuffer
  ) {
    let target = state.mutableVector.part(tensor.region)
    precondition(start >= 0 && start + values.count <= target.count, "values outside the tensor \(tensor.name)")
    guard let outputs = tensor.shape.first, outputs > 0, target.count > 0 else {
      for index in values.indices { target[start + index] = values[index] }
      return
    }
    let inputs = target.count / outputs
    // Where the value that comes next belongs.
    var (output, input) = isTransposed ? (start % outputs, start / outputs) : (start / inputs, start % inputs)
    for value in values {
      target[tensor.place(output: output, input: input, outputs: outputs, inputs: inputs)] = value
      if isTransposed {
        output += 1
        if output == outputs { (output, input) = (0, input + 1) }
      } else {
        input += 1
        if input == inputs { (output, input) = (output + 1, 0) }
      }
    }
  }

  /// The values of `tensor`, row by row of its shape.
  public func values(of tensor: Tensor, in state: borrowing StateBuffer) -> [Float] {
    let source = state.vector.part(tensor.region)
    return [Float](unsafeUninitializedCapacity: source.count) { values, count in
      tensor.forEachIndex { values[$0] = source[$1] }
      count = source.count
    }
  }
}

extension StateLayout.Tensor {
  /// The index in the state, from the tensor's beginning, of the value at an index of the first extent and an index of
  /// all others together.
  fileprivate func place(output: Int, input: Int, outputs: Int, inputs: Int) -> Int {
    guard case .inputsFirst(let channels) = storage else { return output * inputs + input }
    let positions = inputs / channels
    guard positions > 1 else { return input * outputs + output }
    let (channel, position) = input.quotientAndRemainder(dividingBy: positions)
    return (position * channels + channel) * outputs + output
  }

  /// Calls `body` with each index into the values row by row, and the index of the same value in the state.
  fileprivate func forEachIndex(_ body: (Int, Int) -> Void) {
    guard case .inputsFirst(let channels) = storage, region.count > 0 else {
      for index in 0..<region.count { body(index, index) }
      return
    }
    let outputs = shape[0]
    let positions = region.count / outputs / channels
    for output in 0..<outputs {
      for channel in 0..<channels {
        for position in 0..<positions {
          body(
            (output * channels + channel) * positions + position, (position * channels + channel) * outputs + output)
        }
      }
    }
  }
}

/// Says how given tensors differ from those of a layout.
public struct StateMismatch: Error, Equatable, CustomStringConvertible {
  public let description: String

  package init(_ description: String) { self.description = description }
}
