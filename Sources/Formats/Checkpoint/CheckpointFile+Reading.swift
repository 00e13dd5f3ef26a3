import Dispatch
import Tensors

extension CheckpointFile {
  /// Reads and checks a file's table of contents.
  static func readTable(_ file: PositionedFile) throws(StorageError) -> CheckpointTable {
    let path = file.path
    let fileSize = try file.size()
    guard fileSize >= CheckpointTable.leastSize else {
      throw .damaged(path: path, reason: "\(fileSize) bytes are too few for a checkpoint's header")
    }
    let prefix = try file.read(count: CheckpointTable.prefixSize, at: 0)
    let size = try CheckpointTable.size(prefix: prefix, fileSize: fileSize, path: path)
    return try CheckpointTable(file.read(count: size, at: 0), fileSize: fileSize, path: path)
  }

  /// Reads all frames, several at once, and passes on those whose checksum is right.
  /// - Parameter body: Called on several threads with a decoder whose `input` begins with the `size` bytes of the
  ///   frame.
  static func forEachFrame(
    of table: CheckpointTable, in file: PositionedFile, threads: Int,
    body: @Sendable (
      _ decoder: CheckpointFrameDecoder, _ frame: CheckpointFrame, _ size: Int
    ) throws(CodecError) -> Void
  ) throws(StorageError) {
    precondition(threads > 0, "it takes a thread")
    let frameCount = table.frames.count
    var offsets: [Int] = []
    var offset = table.size
    for entry in table.entries {
      offsets.append(offset)
      offset += entry.size
    }

    let threads = min(threads, frameCount)
    let failure = FirstFailure()
    DispatchQueue.concurrentPerform(iterations: threads) { [offsets] thread in
      var index = thread
      failure.record(frame: index) { () throws(CodecError) in
        let decoder = try CheckpointFrameDecoder()
        while index < frameCount {
          let entry = table.entries[index]
          try file.read(into: decoder, size: entry.size, at: offsets[index])
          try decoder.verify(size: entry.size, digest: entry.digest)
          try body(decoder, table.frames[index], entry.size)
          index += threads
        }
      }
    }
    try failure.check(path: file.path, frameCount: frameCount)
  }
}

extension PositionedFile {
  fileprivate func read(
    into decoder: CheckpointFrameDecoder, size: Int, at offset: Int
  ) throws(CodecError) {
    do throws(StorageError) {
      try read(into: UnsafeMutableRawBufferPointer(rebasing: decoder.input[..<size]), at: offset)
    } catch {
      throw .file(error)
    }
  }
}
