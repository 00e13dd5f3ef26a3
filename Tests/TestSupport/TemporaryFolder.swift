import Foundation

/// A folder of its own for one test, removed when the test lets it go.
public final class TemporaryFolder: Sendable {
  public let path: String

  public init() throws {
    path = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("backtrail-" + UUID().uuidString)
      .standardizedFileURL.path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of something inside.
  public func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

  /// Writes `text` to a file inside and returns its path.
  public func write(_ text: String, to name: String) throws -> String {
    try text.write(toFile: self(name), atomically: false, encoding: .utf8)
    return self(name)
  }
}
