import Tensors

/// Options for writing a checkpoint.
public struct CheckpointOptions: Sendable {
  /// The compression level of zstd, 1 ... 19. The data have no long repeats, so higher levels gain little and cost
  /// much.
  public var level: Int
  /// The precisions in which the state's floats are stored, from first to last; empty to store all as float32.
  public var sections: [CheckpointSection]
  /// The number of frames encoded at once. It does not affect the file.
  public var threads: Int
  /// Whether writing waits until the file is safe on disk. Files that are useless to a later process need not survive
  /// a power cut.
  public var isSynced: Bool
  /// A description of the state for whoever finds the file; at most 16 KiB of UTF-8.
  public var label: String

  public static let levels = 1...19

  public init(level: Int = 1, sections: [CheckpointSection] = [], threads: Int = 1, isSynced: Bool = true, label: String = "") {
    precondition(label.utf8.count <= CheckpointTable.longestLabel, "a label has at most 16 KiB")
    precondition(Self.levels.contains(level), "zstd's levels are 1 ... 19")
    precondition(threads > 0, "it takes a thread")
    self.level = level
    self.sections = sections
    self.threads = threads
    self.isSynced = isSynced
    self.label = label
  }
}

/// Writes and reads training states as files of independently compressed frames with checksums. The format is
/// documented at `CheckpointTable`.
///
///     let header = try CheckpointFile.write(state, updateCount: 1000, to: path)
///     try CheckpointFile.write(later, updateCount: 1010, parent: state, parentDigest: header.digest, to: laterPath)
///
///     try CheckpointFile.read(path, into: &state)
///     try CheckpointFile.read(laterPath, into: &state)   // over its parent's floats
///
/// Each thread uses memory of its own: 3 MiB to read; 5 MiB to write, 7 MiB with a lower precision; besides zstd's
/// tables, which are small at low levels.
public enum CheckpointFile {
  /// Writes a self-contained state, which can be read without any other.
  ///
  /// The file appears at `path` when it is complete and on disk. Until then, what was there stays.
  /// - Throws: `StorageError.failed`, with the system's reason.
  @discardableResult
  public static func write(
    _ state: borrowing StateBuffer, updateCount: Int, options: CheckpointOptions = .init(), to path: String
  ) throws(StorageError) -> CheckpointHeader {
    let paged = [state.paged(.read)]
    return try state.span.withUnsafeBufferPointer { floats throws(StorageError) in
      try CheckpointWriting(floats, updateCount: updateCount, paged: paged, options: options).write(to: path)
    }
  }

  /// Writes a state as differences from `parent`, which has the same length and the digest `parentDigest`. Frames
  /// that would not become smaller are stored without differences.
  @discardableResult
  public static func write(
    _ state: borrowing StateBuffer, updateCount: Int, parent: borrowing StateBuffer, parentDigest: Digest,
    options: CheckpointOptions = .init(), to path: String
  ) throws(StorageError) -> CheckpointHeader {
    precondition(state.count == parent.count, "a state and its parent have the same length")
    let paged = [state.paged(.read), parent.paged(.read)]
    return try state.span.withUnsafeBufferPointer { floats throws(StorageError) in
      try parent.span.withUnsafeBufferPointer { parent throws(StorageError) in
        try CheckpointWriting(
          floats, updateCount: updateCount, parent: (parent, parentDigest), paged: paged, options: options
        ).write(to: path)
      }
    }
  }

  /// Reads the header of a file, checked against the file's size and the header's checksum.
  public static func readHeader(_ path: String) throws(StorageError) -> CheckpointHeader {
    try readTable(PositionedFile.open(path)).header
  }

  /// Reads a state.
  /// - Parameter state: A buffer with the length in the header. It must hold the parent's floats if the header names
  ///   a parent. After an error its floats are meaningless.
  /// - Throws: `StorageError.damaged`, naming the frame, if a checksum is wrong; `.mismatch` if the buffer has
  ///   another length or did not hold the parent; `.failed` with the system's reason.
  @discardableResult
  public static func read(
    _ path: String, into state: inout StateBuffer, threads: Int = 1
  ) throws(StorageError) -> CheckpointHeader {
    let file = try PositionedFile.open(path)
    let table = try readTable(file)
    let header = table.header
    guard header.stateCount == state.count else {
      throw .mismatch(path: path, reason: "it holds \(header.stateCount) floats, not \(state.count)")
    }
    // A difference is applied to the floats that are there; anything else replaces them.
    let paged = [state.paged(header.parentDigest == nil ? .overwrite : .change)]
    var floats = state.mutableSpan
    try floats.withUnsafeMutableBufferPointer { floats throws(StorageError) in
      // The threads of `forEachFrame` write through this pointer. No two frames share a float, and all threads have
      // ended when it returns, within the scope that lends the pointer.
      nonisolated(unsafe) let floats = floats
      try forEachFrame(of: table, in: file, threads: threads) { decoder, frame, size throws(CodecError) in
        try FloatBuffer.forEachPart([frame.region], in: paged, rethrow: { CodecError.file($0.storageError) }) { _ throws(CodecError) in
          try decoder.decode(frame, size: size, over: floats)
        }
      }
    }
    let digest: Digest
    do { digest = try Digest(of: state, updateCount: header.updateCount) } catch { throw error.storageError }
    guard digest == header.digest else {
      // All bytes are as they were written, so the state they were applied to is wrong.
      guard let parent = header.parentDigest else {
        throw .damaged(path: path, reason: "it decodes to a state of another digest than it records")
      }
      throw .mismatch(path: path, reason: "it was read over another state than its parent, \(parent)")
    }
    return header
  }

  /// Checks every checksum of a file, without its parent and without decoding it.
  /// - Throws: The same errors as `read(_:into:threads:)`.
  @discardableResult
  public static func verify(_ path: String, threads: Int = 1) throws(StorageError) -> CheckpointHeader {
    let file = try PositionedFile.open(path)
    let table = try readTable(file)
    try forEachFrame(of: table, in: file, threads: threads) { _, _, _ in }
    return table.header
  }
}
