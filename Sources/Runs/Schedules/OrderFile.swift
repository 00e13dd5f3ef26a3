import Formats
import Foundation
import Replay
import Tensors

/// Files of orders `file:PATH`, with one batch sequence per line.
package enum OrderFile {
  /// The prefix of the specifications of such orders.
  static let prefix = "file:"

  /// The path in a specification `file:PATH`; nil for others.
  package static func path(in specification: String) -> String? {
    specification.hasPrefix(prefix) ? String(specification.dropFirst(prefix.count)) : nil
  }

  private static let mostBytes = 256 << 20

  /// Reads the bytes of an order file, either the run's copy or the file it was made from.
  package static func read(_ path: String) throws -> [UInt8] {
    guard access(path, F_OK) == 0 else { throw RunError.missing("\(path): there is no such file; bring it back") }
    let file = try PositionedFile.open(path)
    let size = try file.size()
    // A batch run of a single digit and its comma takes some 70 bytes of memory.
    guard size <= mostBytes, SystemMemory.has(40 * size) else {
      throw RunError.impossible("\(path): its \(size) bytes can take 40 times as many of memory\(SystemMemory.note)")
    }
    return try file.read(count: size, at: 0)
  }
}

extension CompositionOrder {
  /// The path of the file the order was read from; nil for other orders.
  package var file: String? {
    if case .listed(let order) = self { OrderFile.path(in: order.name) } else { nil }
  }

  /// Reads a specification.
  /// - Parameter texts: The contents of order files `file:PATH`, by path.
  /// - Throws: `RunError.missing` for a file that is not in `texts`, and the errors of the order's specification.
  package init(_ specification: String, texts: [String: String]) throws {
    guard let path = OrderFile.path(in: specification) else {
      try self.init(specification)
      return
    }
    guard let text = texts[path] else { throw RunError.missing("the order file \(path) was not read") }
    self = .listed(try ListedOrder(name: specification, text: text))
  }
}
