import Tensors

extension SafetensorsFile {
  /// The tensors that a header describes, in the order of their bytes.
  static func tensors(header: [UInt8], path: String) throws(SafetensorsError) -> [Tensor] {
    let fields: SafetensorsHeader
    do {
      fields = try SafetensorsHeader(header)
    } catch {
      throw .damaged(path: path, place: .byte(8 + error.offset), reason: error.reason, remedy: "Make the file again.")
    }
    var tensors: [Tensor] = []
    for (name, fields) in fields.tensors { tensors.append(try tensor(name: name, fields, path: path)) }
    // An empty tensor has the same offset as the one after it.
    tensors.sort {
      ($0.bytes.lowerBound, $0.bytes.upperBound, $0.name) < ($1.bytes.lowerBound, $1.bytes.upperBound, $1.name)
    }

    var end = 0
    for tensor in tensors {
      guard tensor.bytes.lowerBound == end else {
        throw .damaged(
          path: path, place: .tensor(tensor.name),
          reason: "starts at byte \(tensor.bytes.lowerBound) of the data, where the tensors before it end at \(end)",
          remedy: "Make the file again, without holes or overlaps.")
      }
      end = tensor.bytes.upperBound
    }
    return tensors
  }

  private static func tensor(
    name: String, _ fields: SafetensorsHeader.Fields, path: String
  ) throws(SafetensorsError) -> Tensor {
    func damaged(_ reason: String, remedy: String = "Make the file again.") -> SafetensorsError {
      .damaged(path: path, place: .tensor(name), reason: reason, remedy: remedy)
    }
    guard let type = Safetensors.ElementType(rawValue: fields.type) else {
      let known = Safetensors.ElementType.allCases.map(\.rawValue).joined(separator: ", ")
      throw damaged("has elements of type \(excerpt(fields.type))", remedy: "Convert it to one of \(known).")
    }
    guard let count = fields.shape.product, let size = [count, type.size].product else {
      throw damaged("has the impossible shape \(fields.shape)")
    }
    let offsets = fields.offsets
    guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] - offsets[0] == size else {
      throw damaged(
        "\(count) elements of \(fields.type) are \(size) bytes, which the offsets \(offsets) do not enclose")
    }
    return Tensor(name: name, type: type, shape: fields.shape, count: count, bytes: offsets[0]..<offsets[1])
  }
}
