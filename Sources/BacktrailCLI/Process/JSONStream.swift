import Backtrail
import Runs
import Foundation

/// Prints `value` as one JSON document while it is encoded, without keeping what has been written.
///
/// JSON can't express a number that is not finite. It becomes null, and the document ends with `notFinite`, which
/// lists these numbers.
func printJSON(_ value: some Encodable) throws {
  let writer = JSONWriter { bytes in try StandardOutput.write(bytes) }
  try writer.encode(value, path: [])
  try writer.finish()
}

/// Encodes `value` as one JSON document.
func jsonText(_ value: some Encodable) throws -> String {
  var all: [UInt8] = []
  let writer = JSONWriter { all += $0 }
  try writer.encode(value, path: [])
  try writer.finish()
  return String(decoding: all, as: UTF8.self)
}

/// Writes JSON piece by piece, with keys in the order in which they are encoded.
private final class JSONWriter {
  private enum Bracket { case object, array }

  private let write: ([UInt8]) throws -> Void
  private var buffer: [UInt8] = []
  /// The open objects and arrays, and whether each is still empty.
  private var open: [(bracket: Bracket, isEmpty: Bool)] = []
  private var notFinite = NotFinite()

  init(to write: @escaping ([UInt8]) throws -> Void) { self.write = write }

  /// Ends the document.
  func finish() throws {
    close(to: 0)
    buffer.append(UInt8(ascii: "\n"))
    try write(buffer)
    buffer = []
  }

  /// The number of open objects and arrays.
  var depth: Int { open.count }

  func beginObject() { begin(.object) }
  func beginArray() { begin(.array) }

  private func begin(_ bracket: Bracket) {
    add(bracket == .object ? "{" : "[")
    open.append((bracket, true))
  }

  /// Begins an entry of the object or array at nesting level `depth`.
  func beginEntry(_ key: String?, in depth: Int) {
    close(to: depth)
    add(open[depth - 1].isEmpty ? "\n" : ",\n")
    open[depth - 1].isEmpty = false
    indent()
    if let key {
      add(quoted: key)
      add(" : ")
    }
  }

  /// Writes a value at the current position.
  func encode(_ value: some Encodable, path: [any CodingKey]) throws {
    if buffer.count > 1 << 16 {
      try write(buffer)
      buffer.removeAll(keepingCapacity: true)
    }
    switch value {
    case let value as Bool: add(value ? "true" : "false")
    case let value as Double: add(number: value, path: path)
    case let value as Float: add(number: Double(value), text: "\(value)", path: path)
    case let value as any BinaryInteger: add("\(value)")
    case let value as String: add(quoted: value)
    case let value as Date: add(quoted: value.formatted(.iso8601))
    default:
      let before = depth
      try value.encode(to: JSONEncoding(writer: self, codingPath: path))
      close(to: before)
    }
  }

  func addNull() { add("null") }

  private func add(number: Double, text: String? = nil, path: [any CodingKey]) {
    guard number.isFinite else {
      notFinite.add(number, at: path)
      return addNull()
    }
    let text = text ?? "\(number)"
    add(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
  }

  private func add(quoted text: String) {
    add("\"")
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): add("\\\"")
      case UInt8(ascii: "\\"): add("\\\\")
      case UInt8(ascii: "\n"): add("\\n")
      case UInt8(ascii: "\t"): add("\\t")
      case ..<0x20: add("\\u00" + (byte < 16 ? "0" : "") + String(byte, radix: 16))
      default: buffer.append(byte)
      }
    }
    add("\"")
  }

  private func add(_ text: String) { buffer += text.utf8 }

  private func indent() { buffer += repeatElement(UInt8(ascii: " "), count: 2 * open.count) }

  private func close(to depth: Int) {
    while open.count > depth {
      // This is the outermost object: the document, or one of a list of documents.
      if notFinite.count > 0, open.last?.bracket == .object, !open.dropLast().contains(where: { $0.bracket == .object }) {
        addNotFinite()
      }
      let (bracket, isEmpty) = open.removeLast()
      if !isEmpty {
        add("\n")
        indent()
      }
      add(bracket == .object ? "}" : "]")
    }
  }

  private func addNotFinite() {
    let depth = depth
    let (why, count, numbers) = (NotFinite.why, notFinite.count, notFinite.numbers)
    notFinite = NotFinite()
    beginEntry("notFinite", in: depth)
    beginObject()
    beginEntry("why", in: depth + 1)
    add(quoted: why)
    beginEntry("count", in: depth + 1)
    add("\(count)")
    beginEntry("numbers", in: depth + 1)
    beginArray()
    for number in numbers {
      beginEntry(nil, in: depth + 2)
      add(quoted: number)
    }
    close(to: depth)
  }
}

/// The numbers of a document that are null because they are not finite.
private struct NotFinite {
  static let why = "these numbers are null because they are NaN or infinite, which is what numbers become where updates diverge"

  private(set) var count = 0
  /// The first of these numbers, such as `points[2].skill is NaN`.
  private(set) var numbers: [String] = []

  mutating func add(_ number: Double, at path: [any CodingKey]) {
    count += 1
    guard numbers.count < 100 else { return }
    numbers.append("\(path.place) is \(number.isNaN ? "NaN" : number > 0 ? "infinite" : "infinite and negative")")
  }
}

/// Passes what a value encodes to the writer.
private struct JSONEncoding: Encoder, SingleValueEncodingContainer {
  let writer: JSONWriter
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    writer.beginObject()
    return KeyedEncodingContainer(JSONObject(writer: writer, codingPath: codingPath, depth: writer.depth))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    writer.beginArray()
    return JSONArray(writer: writer, codingPath: codingPath, depth: writer.depth)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { self }

  func encodeNil() { writer.addNull() }
  func encode<Value: Encodable>(_ value: Value) throws { try writer.encode(value, path: codingPath) }
}

private struct JSONObject<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let writer: JSONWriter
  let codingPath: [any CodingKey]
  let depth: Int

  private func begin(_ key: any CodingKey) -> JSONEncoding {
    writer.beginEntry(key.stringValue, in: depth)
    return JSONEncoding(writer: writer, codingPath: codingPath + [key])
  }

  func encodeNil(forKey key: Key) { begin(key).encodeNil() }
  func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws { try begin(key).encode(value) }

  func nestedContainer<Inner: CodingKey>(keyedBy type: Inner.Type, forKey key: Key) -> KeyedEncodingContainer<Inner> {
    begin(key).container(keyedBy: type)
  }

  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { begin(key).unkeyedContainer() }
  func superEncoder() -> any Encoder { begin(PathKey(stringValue: "super")) }
  func superEncoder(forKey key: Key) -> any Encoder { begin(key) }
}

private struct JSONArray: UnkeyedEncodingContainer {
  let writer: JSONWriter
  let codingPath: [any CodingKey]
  let depth: Int
  private(set) var count = 0

  private mutating func begin() -> JSONEncoding {
    writer.beginEntry(nil, in: depth)
    defer { count += 1 }
    return JSONEncoding(writer: writer, codingPath: codingPath + [PathKey(intValue: count)])
  }

  mutating func encodeNil() { begin().encodeNil() }
  mutating func encode<Value: Encodable>(_ value: Value) throws { try begin().encode(value) }

  mutating func nestedContainer<Inner: CodingKey>(keyedBy type: Inner.Type) -> KeyedEncodingContainer<Inner> {
    begin().container(keyedBy: type)
  }

  mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { begin().unkeyedContainer() }
  mutating func superEncoder() -> any Encoder { begin() }
}

/// A position in a document.
private struct PathKey: CodingKey {
  let stringValue: String
  let intValue: Int?

  init(stringValue: String) { (self.stringValue, intValue) = (stringValue, nil) }
  init(intValue: Int) { (stringValue, self.intValue) = ("\(intValue)", intValue) }
}
