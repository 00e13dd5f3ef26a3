import Foundation

extension Safetensors {
  /// Writes tensors in the given order, as F32 or I64. The file appears under its name only when it is complete and
  /// on disk. An existing file is never replaced.
  /// - Throws: `SafetensorsError.cannotWrite` if two tensors have the same name, if `path` exists, or if the disk
  ///   fails.
  public static func write(
    _ tensors: [NamedTensor], metadata: [String: String], to path: String
  ) throws(SafetensorsError) {
    do {
      try write(tensors.map(\.heading), metadata: metadata, to: path) { tensors[$0].numbers }
    } catch let error as SafetensorsError {
      throw error
    } catch {
      throw .cannotWrite(path: path, reason: "\(error)")
    }
  }

  /// Writes tensors whose numbers are asked for one tensor after the other, so that only those of one need be in memory.
  /// - Parameter numbers: Called with the index of each tensor, in order.
  /// - Throws: What `write(_:metadata:to:)` throws, and what `numbers` throws.
  public static func write(
    _ tensors: [NamedTensor.Heading], metadata: [String: String], to path: String,
    numbers: (_ index: Int) throws -> NamedTensor.Numbers
  ) throws {
    var names: Set<String> = [metadataKey]
    if let tensor = tensors.first(where: { !names.insert($0.name).inserted }) {
      throw SafetensorsError.cannotWrite(path: path, reason: "the name “\(tensor.name)” is taken")
    }
    guard !FileManager.default.fileExists(atPath: path) else {
      throw SafetensorsError.cannotWrite(path: path, reason: "there is such a file already")
    }
    let header = try header(tensors, metadata: metadata, path: path)
    // An error of `numbers` goes through code that knows errors of files alone.
    var failure: (any Error)?
    do throws(StorageError) {
      try PositionedFile.replace(path) { file throws(StorageError) in
        try file.write(header, at: 0)
        var position = header.count
        for (index, tensor) in tensors.enumerated() {
          let found: NamedTensor.Numbers
          do { found = try numbers(index) } catch {
            failure = error
            throw .failed(path: path, reason: "\(error)")
          }
          precondition(found.count == tensor.count && found.isInteger == tensor.isInteger, "the numbers are those of the heading")
          try write(found, to: file, at: &position)
        }
      }
    } catch {
      throw failure ?? SafetensorsError.cannotWrite(path: path, reason: error.reason)
    }
  }

  /// The length of the header and the header, padded with spaces so that the data start at a multiple of 8 bytes.
  private static func header(
    _ tensors: [NamedTensor.Heading], metadata: [String: String], path: String
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
      let type: ElementType = tensor.isInteger ? .int64 : .float32
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

  /// Writes piece by piece, so that memory holds little more than the numbers themselves.
  private static func write(
    _ numbers: NamedTensor.Numbers, to file: PositionedFile, at position: inout Int
  ) throws(StorageError) {
    var bytes: [UInt8] = []
    for start in stride(from: 0, to: numbers.count, by: 1 << 16) {
      let piece = start..<min(start + 1 << 16, numbers.count)
      bytes.removeAll(keepingCapacity: true)
      switch numbers {
      case .floats(let values): for value in values[piece] { bytes.append(littleEndian: value.bitPattern) }
      case .integers(let integers): for integer in integers[piece] { bytes.append(littleEndian: UInt64(bitPattern: integer)) }
      }
      try file.write(bytes, at: position)
      position += bytes.count
    }
  }
}
