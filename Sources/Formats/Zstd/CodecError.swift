import Tensors

/// An error in encoding or decoding a part of a file. The caller that knows the file's name adds it.
enum CodecError: Error {
  case damaged(String)
  case outOfMemory
  /// A storage error, which names the file already.
  case file(StorageError)

  /// - Parameter frame: The part of the file where the error occurred.
  func storageError(path: String, frame: String = "") -> StorageError {
    switch self {
    case .damaged(let reason): .damaged(path: path, reason: frame + reason)
    case .outOfMemory: .failed(path: path, reason: frame + "the system has no memory for compression")
    case .file(let error): error
    }
  }
}

/// The error of the first frame that failed, in the order of frames, whichever thread reported first.
final class FirstFailure: Sendable {
  private let first = Lock<(frame: Int, error: CodecError)?>(nil)

  /// - Parameter frame: The frame that `body` is processing.
  func record(frame: @autoclosure () -> Int, _ body: () throws(CodecError) -> Void) {
    do throws(CodecError) {
      try body()
    } catch {
      let frame = frame()
      first.withLock { first in
        if first.map({ frame < $0.frame }) ?? true { first = (frame, error) }
      }
    }
  }

  func check(path: String, frameCount: Int) throws(StorageError) {
    guard let (frame, error) = first.withLock({ $0 }) else { return }
    throw error.storageError(path: path, frame: "frame \(frame + 1) of \(frameCount): ")
  }
}
