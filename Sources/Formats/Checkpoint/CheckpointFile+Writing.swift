import Dispatch
import Tensors

/// One state while it is written to a file.
///
/// It is `Sendable` although it holds pointers: `CheckpointFile.write` makes it inside the scope that lends the
/// pointers, from borrowed states that nobody changes meanwhile, and `write(to:)` returns before that scope ends. The
/// threads of `encode` only read through the pointers, and `concurrentPerform` returns when all of them have ended.
struct CheckpointWriting: @unchecked Sendable {
  private let state: UnsafeBufferPointer<Float>
  /// The state and its parent, as far as they are paged.
  private let paged: [PagedUse?]
  private let updateCount: Int
  private let parent: (floats: UnsafeBufferPointer<Float>, digest: Digest)?
  private let sections: [CheckpointSection]
  private let frames: [CheckpointFrame]
  private let options: CheckpointOptions

  init(
    _ state: UnsafeBufferPointer<Float>, updateCount: Int, parent: (UnsafeBufferPointer<Float>, Digest)? = nil, paged: [PagedUse?],
    options: CheckpointOptions
  ) {
    precondition(updateCount >= 0, "a state has had no negative number of updates")
    self.state = state
    self.paged = paged
    self.updateCount = updateCount
    self.parent = parent.map { (floats: $0, digest: $1) }
    self.options = options
    sections = options.sections.isEmpty ? [.init(count: state.count, precision: .float32)] : options.sections
    precondition(sections.reduce(0) { $0 + $1.count } == state.count, "the sections must cover the state")
    frames = CheckpointFrame.frames(of: sections)
  }

  func write(to path: String) throws(StorageError) -> CheckpointHeader {
    try PositionedFile.replace(path, isSynced: options.isSynced) { file throws(StorageError) in
      var entries: [CheckpointTable.Entry] = []
      // The size of the table is known before its contents, so it can come first and be written last.
      var offset = CheckpointTable.size(sections: sections.count, frames: frames.count, label: options.label)
      var digest = DigestBuilder()
      try encode(path: path) { encoder throws(StorageError) in
        try file.write(encoder.encoded, at: offset)
        digest.add(encoder.values.bytes)
        entries.append(.init(size: encoder.encoded.count, digest: encoder.digest))
        offset += encoder.encoded.count
      }
      digest.add(updateCount)
      let header = CheckpointHeader(
        updateCount: updateCount, stateCount: state.count, digest: digest.digest, parentDigest: parent?.digest,
        sections: sections, label: options.label, byteCount: offset)
      let table = CheckpointTable(header: header, frames: frames, entries: entries).bytes
      try table.withUnsafeBufferPointer { bytes throws(StorageError) in
        try file.write(UnsafeRawBufferPointer(bytes), at: 0)
      }
      return header
    }
  }

  /// Encodes frames in rounds, one frame per thread, and passes them on in order.
  private func encode(
    path: String, body: (CheckpointFrameEncoder) throws(StorageError) -> Void
  ) throws(StorageError) {
    let threads = min(options.threads, frames.count)
    var encoders: [CheckpointFrameEncoder] = []
    do throws(CodecError) {
      for _ in 0..<threads { encoders.append(try CheckpointFrameEncoder(level: options.level)) }
    } catch {
      throw error.storageError(path: path)
    }
    let rounds = stride(from: 0, to: frames.count, by: max(threads, 1)).map { $0..<min($0 + threads, frames.count) }
    let parts = rounds.map { round in
      let (first, last) = (frames[round.lowerBound].region, frames[round.upperBound - 1].region)
      return Region(offset: first.offset, count: last.end - first.offset)
    }
    var done = 0
    try FloatBuffer.forEachPart(parts, in: paged, rethrow: \.storageError) { _ throws(StorageError) in
      let (start, round) = (rounds[done].lowerBound, rounds[done].count)
      done += 1
      let failure = FirstFailure()
      DispatchQueue.concurrentPerform(iterations: round) { [encoders] index in
        failure.record(frame: start + index) { () throws(CodecError) in
          try encoders[index].encode(frames[start + index], of: state, parent: parent?.floats)
        }
      }
      try failure.check(path: path, frameCount: frames.count)
      for encoder in encoders[..<round] { try body(encoder) }
    }
  }
}
