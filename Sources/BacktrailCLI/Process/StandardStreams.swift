import Foundation

/// Standard output, where results go. Results that can't be written are lost, so every failure is an error.
enum StandardOutput {
  /// Writes all of `bytes`.
  /// - Throws: `OutputError.readerGone` where a pipe is closed at its other end, `OutputError.lost` otherwise.
  static func write(_ bytes: [UInt8]) throws(OutputError) {
    if let code = writeAll(bytes, to: STDOUT_FILENO) {
      throw code == EPIPE ? .readerGone : .lost(reason: code == EBADF ? "it is closed" : String(cString: strerror(code)))
    }
  }

  static func write(_ text: String) throws(OutputError) { try write(Array(text.utf8)) }
}

/// Prints a line, or several, of a command's results.
func printResult(_ text: String, terminator: String = "\n") throws(OutputError) { try StandardOutput.write(text + terminator) }

/// Tells the user something that is no result. Where it can't be told, the work goes on without a word.
func printToStandardError(_ text: String, terminator: String = "\n") {
  _ = writeAll(Array((text + terminator).utf8), to: STDERR_FILENO)
}

/// Makes descriptors 0 to 2 safe to use, whatever a process was started with.
///
/// One that is closed would be given to the next file opened, a database perhaps, which then got the words meant for the user.
/// Each is opened the wrong way round instead, so that reading from it or writing to it fails as on a closed one.
func prepareStandardStreams() {
  // Who reads a pipe may go. That is an error of writing to it, not a reason to die.
  signal(SIGPIPE, SIG_IGN)
  for (descriptor, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)] {
    // The lowest descriptor that is free is the one that was found closed.
    if fcntl(descriptor, F_GETFD) == -1 { _ = open("/dev/null", mode) }
  }
}

/// - Returns: nil when all is written, or the number of the error.
private func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Int32? {
  bytes.withUnsafeBytes { bytes in
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        // A descriptor that does not block, as some parents leave theirs.
        var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&wait, 1, -1)
      } else if errno != EINTR {
        return errno
      }
    }
    return nil
  }
}
