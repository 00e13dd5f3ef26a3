/// Writes a batch journal. For its format see `BatchJournal`.
///
///     var journal = try BatchJournalWriter.create(at: "run/batches.zst", header)
///     for batch in batches { try journal.append(batch) }
///     try journal.commit()
///
/// Batches are safe once `commit` has returned: an append that is interrupted later, even by a power cut, leaves them
/// intact. Batches appended since then are lost with the writer. One process at a time writes to a journal; others
/// can read it meanwhile.
///
/// Memory grows only by 32 bytes for each frame of 32 KiB. Each commit ends a frame and writes the seek table, 12
/// bytes per frame, so commit every few thousand batches rather than every one.
public struct BatchJournalWriter: ~Copyable {
  public let header: BatchJournalHeader

  /// The number of batches, including those not committed yet.
  public var batchCount: Int { index.batchCount + (pending?.batchCount ?? 0) }

  /// The number of batches that would survive a power cut.
  public private(set) var committedCount: Int

  private let file: PositionedFile
  private var index: BatchJournalIndex
  private let compressor: ZstdCompressor
  /// The frame that is being filled; nil if no batches are stored.
  private var pending: BatchFrameBuilder?
  /// Whether the file ends with the frames and their seek table.
  private var isWhole: Bool
  /// The error of a failed sync, after which the contents of the disk are unknown.
  private var syncFailure: StorageError?

  /// Makes a journal without batches, which is on disk when this returns. If batches follow from seeds, nothing needs
  /// to be added. A journal whose creation was interrupted contains nothing and can be removed.
  /// - Throws: `StorageError.exists`, `.cannotCreate`, `.failed`.
  public static func create(
    at path: String, _ header: BatchJournalHeader
  ) throws(StorageError) -> BatchJournalWriter {
    let content = try header.encoded(path: path)
    let file = try PositionedFile.create(path)
    let compressor = try ZstdCompressor(for: file)
    let frame = try compressor.frame(of: content, in: file)
    let index = BatchJournalIndex(header: header, headerFrame: frame, headerSize: content.count)
    try file.write(frame, at: 0)
    var writer = BatchJournalWriter(file, index, compressor, isWhole: false)
    try writer.commit()
    try file.syncFolder()
    return writer
  }

  /// Opens a journal for appending. The remains of an interrupted append are overwritten.
  /// - Throws: `StorageError.failed` if it can't be read or another process writes to it, and `.damaged` as
  ///   `BatchJournal.open` does.
  public static func open(_ path: String) throws(StorageError) -> BatchJournalWriter {
    let file = try PositionedFile.openForWriting(path)
    let index = try BatchJournalIndex(reading: file)
    // Frames found without a table may not be on disk yet, but count as committed from now on.
    if index.recovery != nil { try file.sync() }
    return BatchJournalWriter(file, index, try ZstdCompressor(for: file), isWhole: index.recovery == nil)
  }

  private init(
    _ file: PositionedFile, _ index: BatchJournalIndex, _ compressor: consuming ZstdCompressor, isWhole: Bool
  ) {
    self.file = file
    self.index = index
    self.compressor = compressor
    self.isWhole = isWhole
    header = index.header
    pending = index.layout.map(BatchFrameBuilder.init)
    committedCount = index.batchCount
  }

  /// Appends the next batch. If this throws, the batch is not appended, and the call can be repeated.
  /// - Throws: `StorageError.failed` if the file can't be written or the batch does not fit the journal.
  public mutating func append(_ batch: [Int]) throws(StorageError) {
    let exampleCount = header.exampleCount
    guard pending != nil else { throw failure("its batches follow from seeds, and none is stored") }
    guard batch.count == header.batchSize else {
      throw failure("batch \(batchCount + 1) has \(batch.count) indices, where batches have \(header.batchSize)")
    }
    if let index = batch.first(where: { $0 < 0 || $0 >= exampleCount }) {
      throw failure("batch \(batchCount + 1) names example \(index), but indices are below \(exampleCount)")
    }
    if let syncFailure { throw syncFailure }
    if pending?.isFull == true { try writeFrame() }
    pending?.append(batch)
  }

  /// Returns once all batches are on disk. If this throws for lack of space, it can be called again.
  /// - Throws: `StorageError.failed` if the file can't be written.
  public mutating func commit() throws(StorageError) {
    if let syncFailure { throw syncFailure }
    try writeFrame()
    if isWhole { return }
    // Frames are synced first, so that a table never describes frames that are not there.
    try sync()
    try file.truncate(to: index.table.end)
    try file.write(index.table.encoded, at: index.table.end)
    try sync()
    isWhole = true
    committedCount = index.batchCount
  }

  /// Writes the pending batches, if any, after the last frame.
  private mutating func writeFrame() throws(StorageError) {
    guard let pending, pending.batchCount > 0 else { return }
    guard index.table.frames.count < SeekTable.maximumFrameCount else {
      throw failure("it has as many frames as the format allows; commit less often")
    }
    let content = pending.content(firstBatch: index.batchCount + 1, committedCount: committedCount)
    let frame = try compressor.frame(of: content, in: file)
    // This overwrites the old seek table or the remains of an interrupted append.
    let isFirst = index.batchCount == committedCount
    if isFirst {
      isWhole = false
      try file.truncate(to: index.table.end)
    }
    try file.write(frame, at: index.table.end)
    index.append(frame: frame, contentSize: content.count, batchCount: pending.batchCount)
    self.pending?.reset()
    // Without the table, this frame shows how many batches were committed.
    if isFirst { try sync() }
  }

  private mutating func sync() throws(StorageError) {
    do {
      try file.sync()
    } catch {
      syncFailure = error
      throw error
    }
  }

  private func failure(_ reason: String) -> StorageError { .failed(path: file.path, reason: reason) }
}

extension ZstdCompressor {
  /// Level 1 is used because the indices worth storing are random, and no level compresses those.
  fileprivate init(for file: PositionedFile) throws(StorageError) {
    do { self = try ZstdCompressor(level: 1, hasChecksum: true) } catch { throw error.storageError(path: file.path) }
  }

  fileprivate func frame(of content: [UInt8], in file: PositionedFile) throws(StorageError) -> [UInt8] {
    do { return try frame(of: content) } catch { throw error.storageError(path: file.path) }
  }
}
