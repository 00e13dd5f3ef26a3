import Foundation

/// Standard output, which receives the results. Results that can't be written are lost, so every failure is an error.
enum StandardOutput {
  /// Writes all of `bytes`.
  /// - Throws: `OutputError.readerGone` if the other end of a pipe is closed, otherwise `OutputError.lost`.
  static func write(_ bytes: [UInt8]) throws(OutputError) {
    if let code = writeAll(bytes, to: STDOUT_FILENO) {
      throw code == EPIPE ? .readerGone : .lost(reason: code == EBADF ? "it is closed" : String(cString: strerror(code)))
    }
  }

  static func write(_ text: String) throws(OutputError) { try write(Array(text.utf8)) }
}

/// Prints one or more lines of a command's results.
func printResult(_ text: String, terminator: String = "\n") throws(OutputError) { try StandardOutput.write(text + terminator) }

/// Prints a message that is not a result. If it can't be printed, the work goes on without it.
func printToStandardError(_ text: String, terminator: String = "\n") {
  _ = writeAll(Array((text + terminator).utf8), to: STDERR_FILENO)
}

/// Makes descriptors 0 to 2 safe to use, in whatever state the process was started.
///
/// A closed descriptor would be given to the next file opened, perhaps a database, which would then receive messages
/// meant for the user. Each closed one is opened in the opposite direction instead, so that reading or writing fails
/// as on a closed one.
func prepareStandardStreams() {
  // If the reader of a pipe goes, writing to it is an error, which must not end the process.
  signal(SIGPIPE, SIG_IGN)
  for (descriptor, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)] {
    // The lowest free descriptor is the one found closed.
    if fcntl(descriptor, F_GETFD) == -1 { _ = open("/dev/null", mode) }
  }
}

/// - Returns: nil if everything was written, otherwise the error number.
private func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Int32? {
  bytes.withUnsafeBytes { bytes in
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        // The descriptor does not block, as some parent processes leave theirs.
        var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&wait, 1, -1)
      } else if errno != EINTR {
        return errno
      }
    }
    return nil
  }
}
