import Foundation

/// Writes a file that is there whole or not at all, also after a power cut: under a temporary name, synced, renamed over
/// what may be there, its folder synced.
func writeWhole(_ parts: [[UInt8]], to path: String) throws(StorageError) {
  let temporary = "\(path).\(UUID().uuidString).partial"
  func failure() -> StorageError {
    let code = errno
    unlink(temporary)
    return .failed(path: path, reason: String(cString: strerror(code)))
  }
  let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
  guard file >= 0 else { throw failure() }
  for part in parts {
    var written = 0
    while written < part.count {
      let count = part.withUnsafeBytes { write(file, $0.baseAddress.map { $0 + written }, part.count - written) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        let error = failure()
        close(file)
        throw error
      }
      written += count
    }
  }
  guard fsync(file) == 0 else {
    let error = failure()
    close(file)
    throw error
  }
  close(file)
  do {
    try renameDurably(temporary, to: path)
  } catch {
    unlink(temporary)
    throw error
  }
}

/// Gives a file its name, over what may be there, so that the name survives a power cut.
func renameDurably(_ old: String, to path: String) throws(StorageError) {
  func failure() -> StorageError { .failed(path: path, reason: String(cString: strerror(errno))) }
  guard rename(old, path) == 0 else { throw failure() }
  let folder = open(URL(fileURLWithPath: path).deletingLastPathComponent().path, O_RDONLY | O_CLOEXEC)
  guard folder >= 0 else { throw failure() }
  defer { close(folder) }
  guard fsync(folder) == 0 else { throw failure() }
}

/// All bytes of a file.
func readWhole(_ path: String) throws(StorageError) -> [UInt8] {
  do {
    return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped))
  } catch {
    guard FileManager.default.fileExists(atPath: path) else { throw .damaged(path: path, reason: "it is missing") }
    throw .failed(path: path, reason: reason(error))
  }
}
