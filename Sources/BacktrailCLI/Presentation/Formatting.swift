import Foundation
import Reports

/// A whole number with separators of thousands: 1,234,567.
func grouped(_ number: Int) -> String {
  var digits = Array(String(number.magnitude))
  var index = digits.count - 3
  while index > 0 {
    digits.insert(",", at: index)
    index -= 3
  }
  return (number < 0 ? "-" : "") + String(digits)
}

/// A number of things: `1 lane`, `1,000 lanes`.
func count(_ number: Int, _ thing: String, _ things: String? = nil) -> String {
  "\(grouped(number)) \(number == 1 ? thing : things ?? thing + "s")"
}

/// A time such as `0.45 s`, `12 s`, `3 min 20 s` or `2 h 5 min`.
func duration(_ seconds: Double) -> String {
  // The number is too large for an `Int`, or is NaN.
  guard seconds < 1e15 else { return seconds.isNaN ? "unknown" : "for ever" }
  if seconds < 10 { return String(format: "%.2f s", seconds) }
  let whole = Int(seconds.rounded())
  if whole < 60 { return "\(whole) s" }
  if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
  return "\(grouped(whole / 3600)) h \(whole % 3600 / 60) min"
}

/// A number of multiply-adds, such as `85.2 billion multiply-adds`.
func multiplyAdds(_ number: Double) -> String {
  let units = [(1e15, "quadrillion "), (1e12, "trillion "), (1e9, "billion "), (1e6, "million ")]
  let (unit, name) = units.first { number >= $0.0 } ?? (1, "")
  return String(format: "%.3g %@multiply-adds", number / unit, name)
}

/// A number in a format of C; `NaN` or `infinite` if it is not finite.
func decimal(_ format: String, _ value: Double) -> String {
  value.isFinite ? String(format: format, value) : value.isNaN ? "NaN" : value > 0 ? "infinite" : "-infinite"
}

/// A size in bytes such as `1.5 MiB`.
func size(_ bytes: Int) -> String {
  let units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
  var value = Double(bytes)
  var unit = 0
  while value >= 1024 && unit < units.count - 1 {
    value /= 1024
    unit += 1
  }
  return unit == 0 ? "\(bytes) bytes" : String(format: "%.1f %@", value, units[unit])
}

func textTable(_ table: Table) -> String {
  textTable((table.header.isEmpty ? [] : [table.header]) + table.rows, alignment: table.alignment)
}

/// A table of text with aligned columns, two spaces apart.
func textTable(_ rows: [[String]], alignment: [Table.Alignment]) -> String {
  let rows = rows.map { $0.map(printable) }
  let widths = alignment.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
  return rows.map { row in
    let cells = row.indices.map { column in
      let padding = String(repeating: " ", count: widths[column] - row[column].count)
      return alignment[column] == .left ? row[column] + padding : padding + row[column]
    }
    return cells.joined(separator: "  ").reversed().drop { $0 == " " }.reversed().map(String.init).joined()
  }.joined(separator: "\n")
}

/// A stored text as a terminal may show it: characters that would control the terminal, or begin another line, as escapes.
func printable(_ text: String) -> String {
  guard text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return text }
  return text.unicodeScalars.map { $0.properties.generalCategory == .control ? $0.escaped(asASCII: true) : String($0) }.joined()
}
