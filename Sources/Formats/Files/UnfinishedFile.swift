import Foundation

/// The name of a file while it is written, beside the place it will have: `NAME.UUID.partial`.
package enum UnfinishedFile {
  private static let ending = ".partial"
  private static let uuidLength = 36

  /// A name that no other file has.
  package static func name(for final: String) -> String { "\(final).\(UUID().uuidString)\(ending)" }

  /// The final name for the name of an unfinished file; nil if it is not such a name.
  package static func finalName(of name: String) -> String? {
    guard name.hasSuffix(ending) else { return nil }
    let front = name.utf8.dropLast(ending.utf8.count)
    let uuid = front.suffix(uuidLength)
    let rest = front.dropLast(uuidLength)
    guard uuid.count == uuidLength, rest.last == UInt8(ascii: "."), uuid.allSatisfy(isOfUUID) else { return nil }
    return String(rest.dropLast())
  }

  private static func isOfUUID(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: "a")...UInt8(ascii: "f"),
      UInt8(ascii: "-"):
      true
    default: false
    }
  }
}
