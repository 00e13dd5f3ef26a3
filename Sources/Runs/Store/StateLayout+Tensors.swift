import Formats
import Replay
import Tensors

extension StateLayout {
  /// The tensors of a state as files store them, in the order of the state, followed by its counters.
  package func namedTensors(of state: borrowing StateBuffer, updateCount: Int) throws(PagingError) -> [NamedTensor] {
    try tensors.map { (tensor) throws(PagingError) in NamedTensor(name: tensor.name, shape: tensor.shape, values: try values(of: tensor, in: state)) }
      + counters.map { NamedTensor(name: $0, shape: [], integers: [Int64(updateCount)]) }
  }

  /// Writes the tensors of a state, and its counters, as safetensors. The numbers of one tensor are in memory at a time.
  func write(_ state: borrowing StateBuffer, updateCount: Int, metadata: [String: String], to path: String) throws {
    let headings =
      tensors.map { NamedTensor.Heading(name: $0.name, shape: $0.shape) }
      + counters.map { NamedTensor.Heading(name: $0, shape: [], isInteger: true) }
    try Safetensors.write(headings, metadata: metadata, to: path) { index in
      index < tensors.count ? .floats(try values(of: tensors[index], in: state)) : .integers([Int64(updateCount)])
    }
  }

  /// The Euclidean distance between the parameters of two states.
  package func parameterDistance(_ a: StoredState, _ b: StoredState) throws -> Double {
    try a.read { a throws in
      try b.read { b throws in
        var sum = 0.0
        for tensor in tensors where tensor.role == .parameter {
          try a.values.forEachPart(of: tensor.region) { part, x in
            try b.values.withPart(part) { y in
              for index in 0..<x.count {
                let difference = Double(x[index] - y[index])
                sum += difference * difference
              }
            }
          }
        }
        return sum.squareRoot()
      }
    }
  }
}

extension Digest {
  /// The digest of tensors: of their names, shapes and values.
  package init(ofTensors tensors: [NamedTensor]) {
    var builder = DigestBuilder()
    for tensor in tensors {
      builder.add(tensor.name)
      builder.add(tensor.shape.count)
      for extent in tensor.shape { builder.add(extent) }
      builder.add(tensor.values.span.bytes)
    }
    self = builder.digest
  }

  /// The digest of a file's tensors, which are read piece by piece.
  package init(ofTensorsIn file: SafetensorsFile) throws(SafetensorsError) {
    var builder = DigestBuilder()
    for tensor in file.tensors {
      builder.add(tensor)
      for piece in file.pieces(of: tensor) {
        let values = try file.values(of: tensor, in: piece)
        builder.add(values.span.bytes)
      }
    }
    self = builder.digest
  }
}

extension DigestBuilder {
  /// Adds a tensor's name and shape. Its values as floats come next.
  package mutating func add(_ tensor: SafetensorsFile.Tensor) {
    add(tensor.name)
    add(tensor.shape.count)
    for extent in tensor.shape { add(extent) }
  }
}
