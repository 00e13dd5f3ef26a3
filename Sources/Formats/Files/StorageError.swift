import Foundation
import Tensors

/// A system error in words.
package func reason(_ error: any Error) -> String {
  let error = error as NSError
  return (error.userInfo[NSUnderlyingErrorKey] as? NSError)?.localizedDescription ?? error.localizedDescription
}

extension PagingError {
  /// The same error, where files are read and written.
  var storageError: StorageError {
    switch self {
    case .cannotMake, .failed: .failed(path: folder, reason: reason)
    case .damaged: .failed(path: folder, reason: "\(reason): its disk or this machine's memory is damaged")
    }
  }
}

/// An error of a file or a folder.
public enum StorageError: Error, Equatable, CustomStringConvertible {
  case exists(path: String)
  /// The reason says what to do as well, which depends on whether the file belongs to a run that exists.
  case cannotCreate(path: String, reason: String)
  case damaged(path: String, reason: String)
  /// The file is damaged and nothing else has its content.
  case lost(path: String, reason: String)
  case failed(path: String, reason: String)
  /// The file is intact but not the one that was meant.
  case mismatch(path: String, reason: String)

  /// Whether the bytes have changed, rather than being inaccessible.
  public var isDamage: Bool {
    switch self {
    case .damaged, .lost, .mismatch: true
    default: false
    }
  }

  /// The reason given by the system or the file, without advice.
  var reason: String {
    switch self {
    case .exists: "there is such a file already"
    case .cannotCreate(_, let reason), .damaged(_, let reason), .lost(_, let reason), .failed(_, let reason),
      .mismatch(_, let reason):
      reason
    }
  }

  /// The file or folder the error is about.
  public var path: String {
    switch self {
    case .exists(let path), .cannotCreate(let path, _), .damaged(let path, _), .lost(let path, _), .failed(let path, _),
      .mismatch(let path, _):
      path
    }
  }

  public var description: String {
    switch self {
    case .exists(let path): "\(path) exists already; name a new folder with `out`, or remove it first"
    case .cannotCreate(let path, let reason): "can't create \(path): \(reason)"
    case .damaged(let path, let reason): "\(path) is damaged: \(reason); 'backtrail verify RUN --repair' makes anew what can be"
    case .lost(let path, let reason):
      "\(path) is damaged: \(reason); nothing can make it anew: bring back a copy of it, or train again, which gives the same bits"
    case .mismatch(let path, let reason): "\(path) does not fit: \(reason)"
    case .failed(let path, let reason):
      "can't read or write \(path): \(reason); what was committed before is intact"
    }
  }
}
