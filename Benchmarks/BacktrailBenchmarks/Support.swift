import Foundation
import Tensors

/// A folder for the time that something refers to it, in memory where the system has such folders: the disk's speed is
/// not Backtrail's.
final class ScratchFolder {
  let path: String

  init() throws {
    let memory = "/dev/shm"
    let parent = FileManager.default.isWritableFile(atPath: memory) ? memory : NSTemporaryDirectory()
    path = URL(fileURLWithPath: parent).appendingPathComponent("backtrail-" + UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of something inside.
  func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }
}

/// Why a benchmark means nothing.
struct Meaningless: Error, CustomStringConvertible {
  let description: String
}

extension FloatBuffer {
  /// Standard normal numbers, which have no zeros for products to pass over.
  static func normal(_ count: Int, seed: UInt64) throws -> FloatBuffer {
    var buffer = try FloatBuffer(count: count)
    RandomSource(seed: seed, purpose: .synthesis).fillNormal(buffer.mutableVector, batch: 0, deviation: 1)
    return buffer
  }
}
