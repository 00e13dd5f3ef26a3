import Foundation

/// The error that a system call left in `errno`.
struct SystemFailure: Error {
  let code: Int32
  /// A text that replaces the system's own message.
  var text: String?

  var reason: String {
    if let text { return text }
    // The system's message for a link that is not followed would not help a reader.
    if code == ELOOP { return "it is a link, which may lead out of the run's folder" }
    let text = String(cString: strerror(code))
    return code == ENOSPC || code == EDQUOT ? "\(text): make room on the disk" : text
  }

  /// The damage of a file that was once written; nil if the file may be intact but inaccessible.
  var damage: String? {
    switch code {
    case ENOENT: "it is missing"
    case ELOOP: reason
    default: text
    }
  }

  func storageError(path: String) -> StorageError { .failed(path: path, reason: reason) }

}

extension StorageError {
  /// The error of a file or a folder that could not be made in a folder that exists.
  /// - Parameter code: The number that the system call left in `errno`.
  package static func notMade(path: String, code: Int32) -> StorageError {
    let reason = SystemFailure(code: code).reason
    return .cannotCreate(path: path, reason: code == ENOSPC || code == EDQUOT ? reason : "\(reason): check the permissions of its folder")
  }
}
