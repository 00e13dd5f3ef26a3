import Tensors

/// Reads the JSON of a header exactly as strictly as the format requires: it begins with `{`, contains no key twice,
/// and may end in spaces. General readers of JSON would keep one of two equal keys and ignore a byte order mark.
struct SafetensorsHeader {
  /// The fields of a tensor as the header states them, not yet checked.
  struct Fields {
    var type = ""
    var shape: [Int] = []
    var offsets: [Int] = []
  }

  /// An error in the header.
  struct Failure: Error {
    /// The offset of the error in the header, counted from 0.
    let offset: Int
    let reason: String
  }

  private(set) var tensors: [(name: String, fields: Fields)] = []

  init(_ bytes: [UInt8]) throws(Failure) {
    guard bytes.first == UInt8(ascii: "{") else {
      throw Failure(offset: 0, reason: "the header does not begin with {, as the format demands")
    }
    var reader = Reader(bytes)
    var tensors: [(name: String, fields: Fields)] = []
    try reader.readObject { reader, name throws(Failure) in
      if name == Safetensors.metadataKey {
        try reader.readObject { reader, _ throws(Failure) in _ = try reader.readText() }
      } else {
        tensors.append((name, try Self.fields(&reader)))
      }
    }
    try reader.finish()
    self.tensors = tensors
  }

  private static func fields(_ reader: inout Reader) throws(Failure) -> Fields {
    var fields = Fields()
    var seen = 0
    try reader.readObject { reader, key throws(Failure) in
      switch key {
      case "dtype": fields.type = try reader.readText()
      case "shape": fields.shape = try reader.readNumbers()
      case "data_offsets": fields.offsets = try reader.readNumbers()
      default: throw reader.failure("“\(excerpt(key))” is no field of a tensor")
      }
      seen += 1
    }
    guard seen == 3 else { throw reader.failure("a tensor needs dtype, shape and data_offsets") }
    return fields
  }
}

/// Reads JSON byte by byte.
private struct Reader {
  typealias Failure = SafetensorsHeader.Failure

  private let bytes: [UInt8]
  private var next = 0

  /// The largest number of elements in an array of numbers. No tensor has more extents.
  private static let mostNumbers = 64

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func failure(_ reason: String) -> Failure { Failure(offset: next, reason: reason) }

  /// Reads an object; `body` reads the value of each key.
  mutating func readObject(_ body: (inout Reader, String) throws(Failure) -> Void) throws(Failure) {
    try expect("{")
    var keys: Set<String> = []
    if take("}") { return }
    repeat {
      let key = try readText()
      guard keys.insert(key).inserted else { throw failure("the name “\(excerpt(key))” occurs twice") }
      try expect(":")
      try body(&self, key)
    } while take(",")
    try expect("}")
  }

  mutating func readNumbers() throws(Failure) -> [Int] {
    try expect("[")
    var numbers: [Int] = []
    if take("]") { return numbers }
    repeat {
      skipBlanks()
      let start = next
      while next < bytes.count, bytes[next] == UInt8(ascii: "-") || Self.isDigit(bytes[next]) { next += 1 }
      let digits = bytes[start..<next]
      guard digits.count <= 20, let number = Int(String(decoding: digits, as: UTF8.self)),
        digits.count == 1 || digits.first != UInt8(ascii: "0")
      else { throw Failure(offset: start, reason: "a whole number belongs here") }
      guard numbers.count < Self.mostNumbers else { throw failure("more than \(Self.mostNumbers) numbers stand in a row") }
      numbers.append(number)
    } while take(",")
    try expect("]")
    return numbers
  }

  mutating func readText() throws(Failure) -> String {
    try expect("\"")
    let start = next
    var text: [UInt8] = []
    while next < bytes.count {
      let byte = bytes[next]
      next += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: text, as: UTF8.self) else {
          throw Failure(offset: start, reason: "the text is not UTF-8")
        }
        return text
      case UInt8(ascii: "\\"): text += String(try readEscape()).utf8
      case 0..<0x20: throw failure("a control character stands in a text")
      default: text.append(byte)
      }
    }
    throw Failure(offset: start, reason: "a text does not end")
  }

  /// Reads the rest of an escape sequence, after the backslash.
  private mutating func readEscape() throws(Failure) -> Unicode.Scalar {
    guard next < bytes.count else { throw failure("a text does not end") }
    next += 1
    switch bytes[next - 1] {
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let first = try readHexadecimal()
      guard UTF16.isLeadSurrogate(first) else {
        guard let scalar = Unicode.Scalar(first) else { throw failure("half a character stands alone") }
        return scalar
      }
      guard next + 1 < bytes.count, bytes[next] == UInt8(ascii: "\\"), bytes[next + 1] == UInt8(ascii: "u") else {
        throw failure("half a character stands alone")
      }
      next += 2
      let second = try readHexadecimal()
      guard UTF16.isTrailSurrogate(second),
        let scalar = Unicode.Scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))
      else { throw failure("half a character stands alone") }
      return scalar
    case let byte where [UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/")].contains(byte):
      return Unicode.Scalar(byte)
    default: throw failure("an unknown character follows a backslash")
    }
  }

  private mutating func readHexadecimal() throws(Failure) -> UInt16 {
    let digits = bytes[next..<min(next + 4, bytes.count)]
    guard digits.count == 4, digits.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }),
      let number = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
    else { throw failure("four hexadecimal digits belong after \\u") }
    next += 4
    return number
  }

  /// Checks that only blanks are left.
  mutating func finish() throws(Failure) {
    skipBlanks()
    guard next == bytes.count else { throw failure("more follows the header's end") }
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(Failure) {
    guard take(character) else { throw failure("a “\(character)” belongs here") }
  }

  /// Consumes a character if it comes next after blanks.
  /// - Returns: Whether it did.
  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipBlanks()
    guard next < bytes.count, bytes[next] == UInt8(ascii: character) else { return false }
    next += 1
    return true
  }

  private mutating func skipBlanks() {
    while next < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[next]) { next += 1 }
  }

  private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
}
