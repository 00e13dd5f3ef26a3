import Foundation

extension Safetensors {
  /// Writes tensors in the given order, as F32 or I64. The file appears under its name when it is complete and on disk, never
  /// before; one that is there already stays.
  /// - Throws: `DatasetError.cannotWrite` when two tensors share a name, `path` exists, or the disk fails.
  public static func write(
    _ tensors: [NamedTensor], metadata: [String: String], to path: String
  ) throws(DatasetError) {
    var names: Set<String> = [metadataKey]
    if let tensor = tensors.first(where: { !names.insert($0.name).inserted }) {
      throw .cannotWrite(path: path, reason: "the name “\(tensor.name)” is taken")
    }
    guard !FileManager.default.fileExists(atPath: path) else {
      throw .cannotWrite(path: path, reason: "there is such a file already")
    }
    let temporary = "\(path).\(UUID().uuidString).partial"
    do {
      try write(tensors, header: header(tensors, metadata: metadata), toNew: temporary)
      try FileManager.default.moveItem(atPath: temporary, toPath: path)
      try synchronizeFolder(of: path)
    } catch {
      // It may never have come to be: what stopped the writing is the error to tell of.
      try? FileManager.default.removeItem(atPath: temporary)
      throw .cannotWrite(path: path, reason: error.localizedDescription)
    }
  }

  /// The header's length, then the header, padded with spaces so that the data starts at a multiple of 8 bytes.
  private static func header(_ tensors: [NamedTensor], metadata: [String: String]) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    func quoted(_ text: String) throws -> String { String(decoding: try encoder.encode(text), as: UTF8.self) }

    var fields: [String] = []
    if !metadata.isEmpty {
      let texts = try metadata.sorted { $0.key < $1.key }.map { "\(try quoted($0.key)):\(try quoted($0.value))" }
      fields.append("\"\(metadataKey)\":{\(texts.joined(separator: ","))}")
    }
    var offset = 0
    for tensor in tensors {
      let type = ElementType(tensor.element)
      let end = offset + tensor.values.count * type.size
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      fields.append(
        "\(try quoted(tensor.name)):{\"dtype\":\"\(type.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var json = Array("{\(fields.joined(separator: ","))}".utf8)
    json += repeatElement(UInt8(ascii: " "), count: (8 - json.count % 8) % 8)
    return (0..<8).map { UInt8(truncatingIfNeeded: json.count >> (8 * $0)) } + json
  }

  private static func write(_ tensors: [NamedTensor], header: [UInt8], toNew path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o644)
    guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    try file.write(contentsOf: header)
    var bytes: [UInt8] = []
    for tensor in tensors {
      let type = ElementType(tensor.element)
      // Piece by piece, so that memory holds little more than the tensors themselves.
      for start in stride(from: 0, to: tensor.values.count, by: 1 << 16) {
        bytes.removeAll(keepingCapacity: true)
        for value in tensor.values[start..<min(start + 1 << 16, tensor.values.count)] {
          let bits = type.bits(value)
          for byte in 0..<type.size { bytes.append(UInt8(truncatingIfNeeded: bits >> UInt64(8 * byte))) }
        }
        try file.write(contentsOf: bytes)
      }
    }
    try file.synchronize()
    try file.close()
  }

  /// A new name is safe from a power cut once its folder is on disk.
  private static func synchronizeFolder(of path: String) throws {
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    let descriptor = open(folder, O_RDONLY)
    guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
  }
}
