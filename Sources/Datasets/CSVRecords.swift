/// The records of comma-separated text, one after the other (RFC 4180): quoted cells may hold commas, line breaks and
/// doubled quotes; lines end with CRLF or LF. A byte order mark and blank lines at the end are passed over.
struct CSVRecords {
  struct Record {
    /// The line it starts on, from 1.
    let line: Int
    /// Cells without their quotes, and without the blanks around unquoted ones.
    let cells: [String]
  }

  private let path: String
  private let bytes: [UInt8]
  private var next = 0
  private var line = 1

  /// - Parameter path: named in errors.
  init(_ bytes: [UInt8], path: String) {
    self.path = path
    self.bytes = bytes
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { next = 3 }
  }

  /// The next record, or nil after the last.
  mutating func read() throws(DatasetError) -> Record? {
    guard next < bytes.count else { return nil }
    let firstLine = line
    var cells: [String] = []
    repeat {
      cells.append(try readCell(column: cells.count + 1))
    } while take(Self.comma)
    endLine()
    if cells == [""] {
      guard bytes[next...].allSatisfy({ $0 == Self.newline || Self.isBlank($0) }) else {
        throw damaged("the line is empty", line: firstLine, column: nil, remedy: "Remove it.")
      }
      return nil
    }
    return Record(line: firstLine, cells: cells)
  }

  /// Reads up to the comma or the line's end after a cell.
  private mutating func readCell(column: Int) throws(DatasetError) -> String {
    skipBlanks()
    guard take(Self.quote) else {
      let start = next
      while next < bytes.count, bytes[next] != Self.comma, bytes[next] != Self.newline { next += 1 }
      var end = next
      while end > start, Self.isBlank(bytes[end - 1]) { end -= 1 }
      return String(decoding: bytes[start..<end], as: UTF8.self)
    }

    let firstLine = line
    var content: [UInt8] = []
    while true {
      guard next < bytes.count else {
        throw damaged("a quote is opened and never closed", line: firstLine, column: column, remedy: "Close it.")
      }
      let byte = bytes[next]
      next += 1
      if byte == Self.quote, !take(Self.quote) { break }
      if byte == Self.newline { line += 1 }
      content.append(byte)
    }
    skipBlanks()
    guard next == bytes.count || bytes[next] == Self.comma || bytes[next] == Self.newline else {
      throw damaged(
        "text follows a closing quote", line: line, column: column, remedy: "Double each quote inside a quoted cell.")
    }
    return String(decoding: content, as: UTF8.self)
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard next < bytes.count, bytes[next] == byte else { return false }
    next += 1
    return true
  }

  private mutating func endLine() {
    if take(Self.newline) { line += 1 }
  }

  private mutating func skipBlanks() {
    while next < bytes.count, Self.isBlank(bytes[next]) { next += 1 }
  }

  /// A carriage return counts as a blank: of CRLF, the line feed ends the line.
  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
  }

  private static let comma = UInt8(ascii: ",")
  private static let quote = UInt8(ascii: "\"")
  private static let newline = UInt8(ascii: "\n")

  private func damaged(_ reason: String, line: Int, column: Int?, remedy: String) -> DatasetError {
    .damaged(path: path, place: .line(line, column: column), reason: reason, remedy: remedy)
  }
}
