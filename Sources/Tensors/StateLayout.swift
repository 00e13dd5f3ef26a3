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
  public func initialize(_ state: inout StateBuffer, seed: UInt64) throws(PagingError) {
    let source = RandomSource(seed: seed, purpose: .initialization)
    for (index, tensor) in tensors.enumerated() {
      try state.forEachPartToWrite(of: tensor.region) { part, values in
        switch tensor.initialization {
        case .constant(let value): values.fill(value)
        case .normal(let deviation):
          source.fillNormal(values, batch: index, first: part.offset - tensor.region.offset, deviation: Double(deviation))
        }
      }
    }
  }

  /// Gives every tensor values like its initial ones, from a piece of random numbers over and over: for measurements of time, which
  /// large states would otherwise begin with seconds of random numbers.
  public func fillForTrials(_ state: inout StateBuffer) throws(PagingError) {
    let largest = tensors.reduce(0) { max($0, $1.region.count) }
    guard var piece = try? FloatBuffer(count: min(Self.pieceOfTrials, largest)) else { return }
    RandomSource(seed: 0, purpose: .initialization).fillNormal(piece.mutableVector, batch: 0, deviation: 1)
    let normals = piece.vector
    for tensor in tensors {
      try state.forEachPartToWrite(of: tensor.region) { _, values in
        switch tensor.initialization {
        case .constant(let value): values.fill(value)
        case .normal(let deviation):
          for first in stride(from: 0, to: values.count, by: normals.count) {
            let count = min(normals.count, values.count - first)
            let target = values.part(Region(offset: first, count: count))
            target.assign(deviation, times: normals.part(Region(offset: 0, count: count)), plus: 0)
          }
        }
      }
    }
  }

  /// The random numbers of a trial state: as many as a frame of a checkpoint has, which would find repetitions in shorter pieces.
  private static let pieceOfTrials = 1 << 18

  /// Overwrites all tensors with values of the same names and shapes. Counters are passed over: a state starts at
  /// update 0.
  /// - Parameters:
  ///   - values: by name, row-major in the shapes given with them.
  ///   - origin: where the values come from, for messages.
  ///   - state: takes them.
  public func load(
    _ values: [String: (shape: [Int], values: [Float])], from origin: String, into state: inout StateBuffer
  ) throws {
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
      try state.forEachPartToWrite(of: tensor.region) { part, target in
        tensor.forEachIndex(in: part) { target[$1 - part.offset] = given.values[$0] }
      }
    }
  }

  /// Overwrites a part of a tensor.
  /// - Parameters:
  ///   - values: consecutive values, row by row of the tensor's shape.
  ///   - start: the index of the first of them.
  ///   - isTransposed: whether they go row by row of the transposed matrix instead: the tensor's first extent is then the
  ///     columns, and all others together are the rows.
  /// - Throws: `PagingError`, if the state is paged.
  public func write(
    _ values: [Float], from start: Int, isTransposed: Bool = false, to tensor: Tensor, in state: inout StateBuffer
  ) throws {
    precondition(start >= 0 && start + values.count <= tensor.region.count, "values outside the tensor \(tensor.name)")
    if tensor.storage == .rowMajor, !isTransposed {
      return try state.withMutablePart(Region(offset: tensor.region.offset + start, count: values.count)) { target in
        for index in values.indices { target[index] = values[index] }
      }
    }
    guard let outputs = tensor.shape.first, outputs > 0, tensor.region.count > 0 else { return }
    let inputs = tensor.region.count / outputs
    try state.withMutablePart(tensor.region) { target in
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
  }

  /// The values of `tensor`, row by row of its shape.
  public func values(of tensor: Tensor, in state: borrowing StateBuffer) throws(PagingError) -> [Float] {
    var values = [Float](repeating: 0, count: tensor.region.count)
    let source = state.vector
    try FloatBuffer.forEachPart(of: tensor.region, in: [state.paged(.read)]) { part in
      tensor.forEachIndex(in: part) { values[$0] = source[$1] }
    }
    return values
  }
}

extension FloatBuffer {
  /// Calls `body` with the parts of `region`, to write all their floats.
  fileprivate mutating func forEachPartToWrite(of region: Region, _ body: (Region, MutableVector) -> Void) throws(PagingError) {
    let vector = mutableVector
    try Self.forEachPart(of: region, in: [paged(.overwrite)]) { part in body(part, vector.part(part)) }
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

  /// Calls `body` for every float of a part of the tensor's region, with the place of its value row by row of the shape, and its own
  /// in the state.
  fileprivate func forEachIndex(in part: Region, _ body: (_ value: Int, _ float: Int) -> Void) {
    guard case .inputsFirst(let channels) = storage, region.count > 0 else {
      for float in part.offset..<part.end { body(float - region.offset, float) }
      return
    }
    let outputs = shape[0]
    let positions = region.count / outputs / channels
    var float = part.offset
    while float < part.end {
      // Values of all outputs lie next to each other.
      let (row, first) = (float - region.offset).quotientAndRemainder(dividingBy: outputs)
      let (position, channel) = row.quotientAndRemainder(dividingBy: channels)
      for output in first..<min(outputs, first + part.end - float) {
        body((output * channels + channel) * positions + position, float)
        float += 1
      }
    }
  }
}

/// Says how given tensors differ from those of a layout.
public struct StateMismatch: Error, Equatable, CustomStringConvertible {
  public let description: String

  package init(_ description: String) { self.description = description }
}
