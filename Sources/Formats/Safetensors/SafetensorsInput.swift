import Foundation
import Tensors

/// A regular file that is read once from its first byte to its last. No more memory is allocated than its size
/// justifies.
struct SafetensorsInput: ~Copyable {
  private let file: PositionedFile
  private let size: Int
  private(set) var position = 0

  private static let remedy = "Fetch or make the file again."

  var path: String { file.path }

  /// - Throws: `SafetensorsError.missing` if the file does not exist, can't be read, or is not a regular file.
  init(path: String) throws(SafetensorsError) {
    let file = try Self.open(path)
    let size = try Self.size(of: file)
    (self.file, self.size) = (file, size)
  }

  private static func open(_ path: String) throws(SafetensorsError) -> PositionedFile {
    do throws(SystemFailure) { return try PositionedFile(input: path) } catch { throw missing(path, error) }
  }

  private static func missing(_ path: String, _ failure: SystemFailure) -> SafetensorsError {
    switch failure.code {
    case 0: .missing(path: path, reason: "is not a regular file", remedy: "Copy its content to a file on disk.")
    case EISDIR: .missing(path: path, reason: "is a folder, not a file", remedy: "Name a file in it.")
    case ENOENT: .missing(path: path, reason: "there is no such file", remedy: "Check its path and permissions.")
    default: .missing(path: path, reason: failure.reason, remedy: "Check its path and permissions.")
    }
  }

  private static func size(of file: PositionedFile) throws(SafetensorsError) -> Int {
    do { return try file.size() } catch { throw unreadable(file, error) }
  }

  private static func unreadable(_ file: PositionedFile, _ error: StorageError) -> SafetensorsError {
    .missing(path: file.path, reason: "can't be read: \(error.reason)", remedy: "Check the disk.")
  }

  /// Reads the next `count` bytes, which contain `content`.
  mutating func read(_ count: Int, for content: String) throws(SafetensorsError) -> [UInt8] {
    try require(count, for: content)
    try requireMemory(count, for: content)
    let bytes: [UInt8]
    do { bytes = try file.read(upTo: count, at: position) } catch { throw Self.unreadable(file, error) }
    guard bytes.count == count else {
      throw damaged("ends within \(content): it needs \(count) bytes, \(bytes.count) are there")
    }
    position += count
    return bytes
  }

  /// Checks that the file contains `count` more bytes, before memory is allocated for them.
  /// - Parameter content: A description of the bytes, for the error.
  func require(_ count: Int, for content: String) throws(SafetensorsError) {
    guard count <= size - position else {
      throw damaged("ends within \(content): it needs \(count) bytes and can't hold more than \(size - position)")
    }
  }

  /// Checks that there is memory for the bytes to be read next.
  func requireMemory(_ bytes: Int, for content: String) throws(SafetensorsError) {
    guard SystemMemory.has(bytes) else {
      throw .tooLarge(path: path, reason: "\(content) takes \(bytes) bytes of memory\(SystemMemory.note)")
    }
  }

  /// Checks that nothing follows what was read.
  func finish() throws(SafetensorsError) {
    guard position == size else { throw damaged("more bytes follow than the header tells of") }
  }

  private func damaged(_ reason: String) -> SafetensorsError {
    .damaged(path: path, place: .byte(position), reason: reason, remedy: Self.remedy)
  }
}
