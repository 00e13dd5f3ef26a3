import Foundation
import GRDB
import Tensors

/// A row with a digest of its values, checked whenever it is read: SQLite's own checks see a broken page, not a changed
/// number.
struct Sealed<Content: Codable & FetchableRecord & PersistableRecord>: FetchableRecord, PersistableRecord {
  let content: Content

  static var databaseTableName: String { Content.databaseTableName }
  static var persistenceConflictPolicy: PersistenceConflictPolicy { Content.persistenceConflictPolicy }

  /// The column that holds the digest, in every sealed table.
  static var seal: String { "seal" }

  init(_ content: Content) {
    self.content = content
  }

  /// - Throws: `BrokenSeal` naming the row.
  init(row: Row) throws {
    var values = row.databaseValuesByName
    let expected = values.removeValue(forKey: Self.seal).flatMap { String.fromDatabaseValue($0) }
    do {
      content = try Content(row: row)
      guard try Self.digest(of: content).description == expected else {
        throw BrokenSeal(description: "its values do not fit its seal")
      }
    } catch {
      let reason = (error as? BrokenSeal)?.description ?? "it can't be read"
      let key = values.sorted { $0.key < $1.key }.filter { ["seed", "series", "n", "position"].contains($0.key) }
      let name = key.map { " \($0.key)=\($0.value.storage.value ?? "?")" }.joined()
      throw BrokenSeal(description: "the \(Self.databaseTableName) row\(name): \(reason)")
    }
  }

  func encode(to container: inout PersistenceContainer) throws {
    try content.encode(to: &container)
    container[Self.seal] = try Self.digest(of: content).description
  }

  private static func digest(of content: Content) throws -> Digest {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return Digest(of: Array(try encoder.encode(content)).span.bytes)
  }
}

/// A row whose values are not what was written.
struct BrokenSeal: Error, CustomStringConvertible {
  let description: String
}

extension Row {
  fileprivate var databaseValuesByName: [String: DatabaseValue] {
    Dictionary(map { ($0.0, $0.1) }) { first, _ in first }
  }
}
