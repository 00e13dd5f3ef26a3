import Tensors

extension Safetensors {
  /// The tensors of a file, in the order of their bytes. Elements of type F32, F64, F16, BF16 or I64 become floats.
  /// Metadata is ignored.
  /// - Throws: `SafetensorsError.missing`; `.damaged` if the file violates the format or has another element type;
  ///   `.tooLarge` if there is not enough memory for the tensors.
  public static func read(path: String) throws(SafetensorsError) -> [NamedTensor] {
    var file = try SafetensorsInput(path: path)
    var prefix = ByteReader(try file.read(8, for: "the header's length"))
    let headerLength = prefix.uint64()
    guard headerLength <= longestHeader else {
      throw .damaged(
        path: path, place: .byte(0), reason: "a header of \(headerLength) bytes is longer than the format allows",
        remedy: "Check that it is a safetensors file.")
    }
    let entries = try entries(header: file.read(Int(headerLength), for: "the header"), path: path)
    // Before memory is allocated for any tensor, all must be in the file and all must fit.
    try file.require(entries.last?.bytes.upperBound ?? 0, for: "the tensors")
    let (bytes, overflow) = entries.reduce(0) { $0 + $1.count * ($1.type == .int64 ? 2 : 1) }
      .multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
    try file.requireMemory(overflow ? .max : bytes, for: "its tensors")
    var tensors: [NamedTensor] = []
    for entry in entries {
      if entry.type == .int64 {
        var integers: [Int64] = []
        integers.reserveCapacity(entry.count)
        try readElements(of: entry, from: &file) { bits in integers.append(Int64(bitPattern: bits)) }
        tensors.append(NamedTensor(name: entry.name, shape: entry.shape, integers: integers))
      } else {
        let values = try readValues(of: entry, from: &file)
        tensors.append(NamedTensor(name: entry.name, shape: entry.shape, values: values))
      }
    }
    try file.finish()
    return tensors
  }

  /// A tensor as the header describes it.
  private struct Entry {
    let name: String
    let type: ElementType
    let shape: [Int]
    let count: Int
    /// The range of its bytes, counted from the end of the header.
    let bytes: Range<Int>
  }

  /// The tensors that a header describes, in the order of their bytes.
  private static func entries(header: [UInt8], path: String) throws(SafetensorsError) -> [Entry] {
    let fields: SafetensorsHeader
    do {
      fields = try SafetensorsHeader(header)
    } catch {
      throw .damaged(path: path, place: .byte(8 + error.offset), reason: error.reason, remedy: "Make the file again.")
    }
    var entries: [Entry] = []
    for (name, fields) in fields.tensors { entries.append(try entry(name: name, fields, path: path)) }
    // An empty tensor has the same offset as the one after it.
    entries.sort {
      ($0.bytes.lowerBound, $0.bytes.upperBound, $0.name) < ($1.bytes.lowerBound, $1.bytes.upperBound, $1.name)
    }

    var end = 0
    for entry in entries {
      guard entry.bytes.lowerBound == end else {
        throw .damaged(
          path: path, place: .tensor(entry.name),
          reason: "starts at byte \(entry.bytes.lowerBound) of the data, where the tensors before it end at \(end)",
          remedy: "Make the file again, without holes or overlaps.")
      }
      end = entry.bytes.upperBound
    }
    return entries
  }

  private static func entry(name: String, _ fields: SafetensorsHeader.Fields, path: String) throws(SafetensorsError) -> Entry {
    func damaged(_ reason: String, remedy: String = "Make the file again.") -> SafetensorsError {
      .damaged(path: path, place: .tensor(name), reason: reason, remedy: remedy)
    }
    guard let type = ElementType(rawValue: fields.type) else {
      let known = ElementType.allCases.map(\.rawValue).joined(separator: ", ")
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
    return Entry(name: name, type: type, shape: fields.shape, count: count, bytes: offsets[0]..<offsets[1])
  }

  /// Reads in pieces, so that a tensor's bytes and its floats are never in memory together.
  private static func readValues(of entry: Entry, from file: inout SafetensorsInput) throws(SafetensorsError) -> [Float] {
    let path = file.path
    var values: [Float] = []
    values.reserveCapacity(entry.count)
    try readElements(of: entry, from: &file) { bits throws(SafetensorsError) in
      let value = entry.type.value(bits: bits)
      guard entry.type != .float64 || value.isFinite || !Double(bitPattern: bits).isFinite else {
        throw .damaged(
          path: path, place: .tensor(entry.name),
          reason: "element \(values.count), \(Double(bitPattern: bits)), is too large for float32", remedy: "Scale the tensor.")
      }
      values.append(value)
    }
    return values
  }

  /// Gives `body` the bits of each element, the first byte lowest. They are read piece by piece, so that a tensor's bytes and its
  /// numbers are never in memory together.
  private static func readElements(
    of entry: Entry, from file: inout SafetensorsInput, _ body: (UInt64) throws(SafetensorsError) -> Void
  ) throws(SafetensorsError) {
    try file.require(entry.bytes.count, for: "tensor “\(entry.name)”")
    let size = entry.type.size
    let most = (1 << 20) / size
    var left = entry.count
    while left > 0 {
      let bytes = try file.read(min(most, left) * size, for: "tensor “\(entry.name)”")
      var reader = ByteReader(bytes)
      for _ in 0..<bytes.count / size { try body(reader.integer(size: size)) }
      left -= bytes.count / size
    }
  }
}
