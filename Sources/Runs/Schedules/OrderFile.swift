import Formats
import Foundation
import Replay
import Tensors

/// Files of orders `file:PATH`, a batch sequence a line.
package enum OrderFile {
  /// What the specifications of such orders begin with.
  static let prefix = "file:"

  /// The path in a specification `file:PATH`; nil for others.
  package static func path(in specification: String) -> String? {
    specification.hasPrefix(prefix) ? String(specification.dropFirst(prefix.count)) : nil
  }

  private static let mostBytes = 256 << 20

  /// The bytes of an order file that a run keeps, or was made from.
  package static func read(_ path: String) throws -> [UInt8] {
    guard access(path, F_OK) == 0 else { throw RunError.missing("\(path): there is no such file; bring it back") }
    let file = try PositionedFile.open(path)
    let size = try file.size()
    // A run of a single digit and its comma comes to some 70 bytes.
    guard size <= mostBytes, SystemMemory.has(40 * size) else {
      throw RunError.impossible("\(path): its \(size) bytes can take 40 times as many of memory\(SystemMemory.note)")
    }
    return try file.read(count: size, at: 0)
  }
}

extension CompositionOrder {
  /// The path of the file it was read from; nil for other orders.
  package var file: String? {
    if case .listed(let order) = self { OrderFile.path(in: order.name) } else { nil }
  }

  /// Reads a specification.
  /// - Parameter texts: what files of orders `file:PATH` hold, by path.
  /// - Throws: `RunError.missing` for a file that is not among them.
  package init(_ specification: String, texts: [String: String]) throws {
    guard let path = OrderFile.path(in: specification) else {
      try self.init(specification)
      return
    }
    guard let text = texts[path] else { throw RunError.missing("the order file \(path) was not read") }
    self = .listed(try ListedOrder(name: specification, text: text))
  }
}
