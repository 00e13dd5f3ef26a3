import Tensors

/// Reads comma-separated text one record at a time (RFC 4180): quoted cells may contain commas, line breaks and
/// doubled quotes; lines end with CRLF or LF. A byte order mark and blank lines at the end are ignored.
///
/// Only one record is in memory at a time, and its size is limited.
struct CSVRecords: ~Copyable {
  struct Record {
    /// The line it starts on, counted from 1.
    let line: Int
    /// The cells without their quotes, and without the blanks around unquoted ones.
    let cells: [String]
  }

  /// The largest size of a cell in bytes.
  static let longestCell = 1 << 16
  /// The largest number of cells in a row.
  static let mostCells = 1 << 20

  private(set) var bytes: ByteStream
  private var line = 1

  init(path: String) throws(DatasetError) {
    var bytes = try ByteStream(path: path)
    try bytes.skip(prefix: [0xEF, 0xBB, 0xBF])
    self.bytes = bytes
  }

  /// Reads the next record; nil after the last one.
  mutating func read() throws(DatasetError) -> Record? {
    guard try bytes.peek() != nil else { return nil }
    let firstLine = line
    var cells: [String] = []
    repeat {
      guard cells.count < Self.mostCells else {
        throw damaged(
          "a row has more than \(Self.mostCells) cells", line: firstLine, column: nil, remedy: "Give it fewer columns.")
      }
      cells.append(try readCell(column: cells.count + 1))
    } while try take(Self.comma)
    if try take(Self.newline) { line += 1 }
    if cells == [""] {
      while let byte = try bytes.peek() {
        guard byte == Self.newline || Self.isBlank(byte) else {
          throw damaged("the line is empty", line: firstLine, column: nil, remedy: "Remove it.")
        }
        bytes.advance()
      }
      return nil
    }
    return Record(line: firstLine, cells: cells)
  }

  /// Reads a cell up to the comma or the line end after it.
  private mutating func readCell(column: Int) throws(DatasetError) -> String {
    while let byte = try bytes.peek(), Self.isBlank(byte) { bytes.advance() }
    let firstLine = line
    var content: [UInt8] = []
    func append(_ byte: UInt8) throws(DatasetError) {
      guard content.count < Self.longestCell else {
        throw damaged(
          "a cell is longer than \(Self.longestCell) bytes", line: firstLine, column: column,
          remedy: "Check that it is a table of comma-separated values.")
      }
      content.append(byte)
    }
    guard try take(Self.quote) else {
      while let byte = try bytes.peek(), byte != Self.comma, byte != Self.newline {
        try append(byte)
        bytes.advance()
      }
      while let last = content.last, Self.isBlank(last) { content.removeLast() }
      return String(decoding: content, as: UTF8.self)
    }

    while true {
      guard let byte = try bytes.peek() else {
        throw damaged("a quote is opened and never closed", line: firstLine, column: column, remedy: "Close it.")
      }
      bytes.advance()
      if byte == Self.quote, try !take(Self.quote) { break }
      if byte == Self.newline { line += 1 }
      try append(byte)
    }
    while let byte = try bytes.peek(), Self.isBlank(byte) { bytes.advance() }
    if let byte = try bytes.peek(), byte != Self.comma, byte != Self.newline {
      throw damaged(
        "text follows a closing quote", line: line, column: column, remedy: "Double each quote inside a quoted cell.")
    }
    return String(decoding: content, as: UTF8.self)
  }

  private mutating func take(_ byte: UInt8) throws(DatasetError) -> Bool {
    guard try bytes.peek() == byte else { return false }
    bytes.advance()
    return true
  }

  /// A carriage return counts as a blank, since the line feed of CRLF ends the line.
  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
  }

  private static let comma = UInt8(ascii: ",")
  private static let quote = UInt8(ascii: "\"")
  private static let newline = UInt8(ascii: "\n")

  private func damaged(_ reason: String, line: Int, column: Int?, remedy: String) -> DatasetError {
    .damaged(path: bytes.file.path, place: .line(line, column: column), reason: reason, remedy: remedy)
  }
}
