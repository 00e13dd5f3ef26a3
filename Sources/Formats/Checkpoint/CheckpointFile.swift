import Tensors

/// How a checkpoint is written.
public struct CheckpointOptions: Sendable {
  /// zstd's level, 1 ... 19. What it compresses has no long repeats: higher levels gain a little and cost a lot.
  public var level: Int
  /// How the state's floats are stored, first to last; empty for all of them as float32.
  public var sections: [CheckpointSection]
  /// How many frames are encoded at once. The file is the same for any number.
  public var threads: Int
  /// Whether writing waits until the file is on the disk itself. What is of no use to a later process need not survive a
  /// power cut.
  public var isSynced: Bool
  /// What the state is, for whoever finds the file; at most 16 KiB of UTF-8.
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

/// Writes and reads training states as files of independently compressed, checksummed frames. `CheckpointTable` has the
/// format.
///
///     let header = try CheckpointFile.write(state, updateCount: 1000, to: path)
///     try CheckpointFile.write(later, updateCount: 1010, parent: state, parentDigest: header.digest, to: laterPath)
///
///     try CheckpointFile.read(path, into: &state)
///     try CheckpointFile.read(laterPath, into: &state)   // over its parent's floats
///
/// A thread works in memory of its own: 3 MiB to read; 5 MiB to write, 7 with a lower precision; besides zstd's tables,
/// which are small at low levels.
public enum CheckpointFile {
  /// Writes a state that is read back without any other.
  ///
  /// The file appears at `path` when it is complete and on disk; until then, what was there stays.
  /// - Throws: `StorageError.failed`, with the system's reason.
  @discardableResult
  public static func write(
    _ state: borrowing StateBuffer, updateCount: Int, options: CheckpointOptions = .init(), to path: String
  ) throws(StorageError) -> CheckpointHeader {
    try state.span.withUnsafeBufferPointer { floats throws(StorageError) in
      try CheckpointWriting(floats, updateCount: updateCount, options: options).write(to: path)
    }
  }

  /// Writes a state as differences from `parent`, of the same length, whose digest is `parentDigest`. Frames that would
  /// not gain from it are stored alone.
  @discardableResult
  public static func write(
    _ state: borrowing StateBuffer, updateCount: Int, parent: borrowing StateBuffer, parentDigest: Digest,
    options: CheckpointOptions = .init(), to path: String
  ) throws(StorageError) -> CheckpointHeader {
    precondition(state.count == parent.count, "a state and its parent have the same length")
    return try state.span.withUnsafeBufferPointer { floats throws(StorageError) in
      try parent.span.withUnsafeBufferPointer { parent throws(StorageError) in
        try CheckpointWriting(
          floats, updateCount: updateCount, parent: (parent, parentDigest), options: options
        ).write(to: path)
      }
    }
  }

  /// What a file says about itself, checked against its size and its header's checksum.
  public static func readHeader(_ path: String) throws(StorageError) -> CheckpointHeader {
    try readTable(PositionedFile.open(path)).header
  }

  /// Reads a state.
  /// - Parameters:
  ///   - path: the file.
  ///   - state: has the length that the header tells, and holds the parent's floats if the header names a
  ///     parent. Its floats are of no use after an error.
  ///   - threads: how many frames are decoded at once; the state does not depend on it.
  /// - Throws: `StorageError.damaged` where a checksum fails, naming the frame; `.mismatch` where the state has another
  ///   length or was not the parent; `.failed` with the system's reason.
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
    var floats = state.mutableSpan
    try floats.withUnsafeMutableBufferPointer { floats throws(StorageError) in
      // The threads of `forEachFrame` write through this pointer: no two frames share a float, and all threads have ended when it
      // returns, within the scope that lends the pointer.
      nonisolated(unsafe) let floats = floats
      try forEachFrame(of: table, in: file, threads: threads) { decoder, frame, size throws(CodecError) in
        try decoder.decode(frame, size: size, over: floats)
      }
    }
    guard Digest(of: state, updateCount: header.updateCount) == header.digest else {
      // All its bytes are as they were written: what they were applied to is not.
      guard let parent = header.parentDigest else {
        throw .damaged(path: path, reason: "it decodes to a state of another digest than it records")
      }
      throw .mismatch(path: path, reason: "it was read over another state than its parent, \(parent)")
    }
    return header
  }

  /// Checks every checksum of a file. It needs no parent and decodes nothing.
  /// - Throws: as `read(_:into:threads:)` does.
  @discardableResult
  public static func verify(_ path: String, threads: Int = 1) throws(StorageError) -> CheckpointHeader {
    let file = try PositionedFile.open(path)
    let table = try readTable(file)
    try forEachFrame(of: table, in: file, threads: threads) { _, _, _ in }
    return table.header
  }
}
