/// A piece of a file as messages show it: cut where it is long, and without characters that control a terminal.
package func excerpt(_ text: String, length: Int = 100) -> String {
  let scalars = text.unicodeScalars.prefix(length).map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }
  return String(String.UnicodeScalarView(scalars)) + (text.unicodeScalars.count > length ? "…" : "")
}
