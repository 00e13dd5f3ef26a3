import Foundation

extension Safetensors {
  /// Writes tensors in the given order, as F32 or I64. The file appears under its name only when it is complete and
  /// on disk. An existing file is never replaced.
  /// - Throws: `SafetensorsError.cannotWrite` if two tensors have the same name, if `path` exists, or if the disk
  ///   fails.
  public static func write(
    _ tensors: [NamedTensor], metadata: [String: String], to path: String
  ) throws(SafetensorsError) {
    var names: Set<String> = [metadataKey]
    if let tensor = tensors.first(where: { !names.insert($0.name).inserted }) {
      throw .cannotWrite(path: path, reason: "the name “\(tensor.name)” is taken")
    }
    guard !FileManager.default.fileExists(atPath: path) else {
      throw .cannotWrite(path: path, reason: "there is such a file already")
    }
    let header = try header(tensors, metadata: metadata, path: path)
    do throws(StorageError) {
      try PositionedFile.replace(path) { file throws(StorageError) in try write(tensors, header: header, to: file) }
    } catch {
      throw .cannotWrite(path: path, reason: error.reason)
    }
  }

  /// The length of the header and the header, padded with spaces so that the data start at a multiple of 8 bytes.
  private static func header(
    _ tensors: [NamedTensor], metadata: [String: String], path: String
  ) throws(SafetensorsError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    func quoted(_ text: String) throws(SafetensorsError) -> String {
      do { return String(decoding: try encoder.encode(text), as: UTF8.self) } catch {
        throw .cannotWrite(path: path, reason: Formats.reason(error))
      }
    }

    var fields: [String] = []
    if !metadata.isEmpty {
      let texts = try metadata.sorted { $0.key < $1.key }.map { text throws(SafetensorsError) in
        "\(try quoted(text.key)):\(try quoted(text.value))"
      }
      fields.append("\"\(metadataKey)\":{\(texts.joined(separator: ","))}")
    }
    var offset = 0
    for tensor in tensors {
      let type = ElementType(tensor.numbers)
      let end = offset + tensor.count * type.size
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      fields.append(
        "\(try quoted(tensor.name)):{\"dtype\":\"\(type.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var json = Array("{\(fields.joined(separator: ","))}".utf8)
    json += repeatElement(UInt8(ascii: " "), count: (8 - json.count % 8) % 8)
    var bytes: [UInt8] = []
    bytes.append(littleEndian: UInt64(json.count))
    return bytes + json
  }

  private static func write(_ tensors: [NamedTensor], header: [UInt8], to file: PositionedFile) throws(StorageError) {
    try file.write(header, at: 0)
    var position = header.count
    var bytes: [UInt8] = []
    for tensor in tensors {
      // Piece by piece, so that memory holds little more than the tensors themselves.
      for start in stride(from: 0, to: tensor.count, by: 1 << 16) {
        let piece = start..<min(start + 1 << 16, tensor.count)
        bytes.removeAll(keepingCapacity: true)
        switch tensor.numbers {
        case .floats(let values): for value in values[piece] { bytes.append(littleEndian: value.bitPattern) }
        case .integers(let integers): for integer in integers[piece] { bytes.append(littleEndian: UInt64(bitPattern: integer)) }
        }
        try file.write(bytes, at: position)
        position += bytes.count
      }
    }
  }
}
