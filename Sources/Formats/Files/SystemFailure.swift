import Foundation

/// What a system call left in `errno`.
struct SystemFailure: Error {
  let code: Int32
  /// In place of the system's own words.
  var text: String?

  var reason: String {
    if let text { return text }
    // What a link gives where links are not followed says nothing to a reader.
    if code == ELOOP { return "it is a link, which may lead out of the run's folder" }
    let text = String(cString: strerror(code))
    return code == ENOSPC || code == EDQUOT ? "\(text): make room on the disk" : text
  }

  /// Where a file should be that was written once: what is wrong with it; nil where it may be whole, and out of reach.
  var damage: String? {
    switch code {
    case ENOENT: "it is missing"
    case ELOOP: reason
    default: text
    }
  }

  func storageError(path: String) -> StorageError { .failed(path: path, reason: reason) }
}
