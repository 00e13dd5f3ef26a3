/// The batches that a journal contains, by frame. Both its reader and its writer start from this index.
///
/// **What survives.** A frame that has been synced is never written again. An append cuts off the seek table, writes
/// frames in its place and a new table after them. Until that table exists, this index is built from the frames, each
/// of which has a checksum and contains its own position: the table is a shortcut, not the only copy of anything. The
/// alternative is to leave each table where it is and write the next one after new frames. It needs no such recovery,
/// but appending to a long journal in small steps would then take space proportional to the square of their number,
/// and a file cut off at an old table would pass for complete.
///
/// A power cut can leave the frames of an interrupted append in any state, since the system writes pages in any
/// order. So the first unreadable frame ends the recovered journal, unless a later frame shows that it was synced:
/// each frame contains the number of batches that were committed when its append began. Then it is damage, which is
/// reported rather than cut off.
struct BatchJournalIndex: Sendable {
  let header: BatchJournalHeader
  /// The layout of the packed batches; nil if none are stored.
  let layout: BatchLayout?
  /// The seek table; frame 0 is the header.
  private(set) var table: SeekTable
  /// The first batch of each frame from frame 1 on, followed by the number after the last batch.
  private(set) var firstBatches = [1]
  /// The reason why the seek table could not be used; nil if it could.
  private(set) var recovery: String?

  var batchCount: Int { firstBatches[firstBatches.count - 1] - 1 }

  /// Makes the index of a journal without batches.
  init(header: BatchJournalHeader, headerFrame: [UInt8], headerSize: Int) {
    self.header = header
    layout = header.layout
    table = SeekTable()
    table.append(frame: headerFrame, contentSize: headerSize)
  }

  /// - Throws: `StorageError.damaged`, naming the frame. A damaged seek table alone is recovered.
  init(reading file: PositionedFile) throws(StorageError) {
    let decompressor = try ZstdDecompressor(for: file)
    guard
      let (frame, content) = try file.wholeFrame(at: 0, contentLimit: BatchJournalHeader.maximumSize, decompressor)
    else { throw .damaged(path: file.path, reason: "frame 0, the header, can't be read") }
    let header = try BatchJournalHeader(decoding: content, path: file.path)
    self.init(header: header, headerFrame: frame, headerSize: content.count)
    do {
      try useTable(of: file, decompressor)
    } catch {
      guard case .damaged(_, let reason) = error else { throw error }
      try recover(from: file, because: reason, decompressor)
    }
  }

  /// Adds a frame that follows the others.
  mutating func append(frame: [UInt8], contentSize: Int, batchCount: Int) {
    table.append(frame: frame, contentSize: contentSize)
    firstBatches.append(firstBatches[firstBatches.count - 1] + batchCount)
  }

  /// The frame that contains a batch, found by bisection.
  /// - Precondition: The journal contains the batch.
  func frame(ofBatch batch: Int) -> Int {
    var (low, high) = (0, firstBatches.count - 1)
    while high - low > 1 {
      let middle = (low + high) / 2
      if firstBatches[middle] <= batch { low = middle } else { high = middle }
    }
    return low + 1
  }

  func firstBatch(ofFrame frame: Int) -> Int { firstBatches[frame - 1] }

  /// The batches of a frame, checked against this index.
  /// - Throws: `StorageError.damaged`, naming the frame.
  func batches(
    ofFrame frame: Int, layout: BatchLayout, in file: PositionedFile, _ decompressor: borrowing ZstdDecompressor
  ) throws(StorageError) -> BatchFrame {
    let content = try table.content(ofFrame: frame, in: file, with: decompressor)
    let (first, next) = (firstBatches[frame - 1], firstBatches[frame])
    guard let batches = BatchFrame(content, layout: layout), batches.firstBatch == first,
      batches.batchCount == next - first
    else {
      throw .damaged(path: file.path, reason: "frame \(frame) does not hold batches \(first) to \(next - 1)")
    }
    return batches
  }
}

// MARK: - With and without a seek table

extension BatchJournalIndex {
  /// - Throws: `StorageError.damaged` if there is no table or it does not describe these frames. The index then stays
  ///   unchanged.
  private mutating func useTable(
    of file: PositionedFile, _ decompressor: borrowing ZstdDecompressor
  ) throws(StorageError) {
    let found = try SeekTable(atEndOf: file)
    guard let first = found.frames.first, first == table.frames[0] else {
      throw .damaged(path: file.path, reason: "its seek table does not begin with the header")
    }
    var firsts = [1]
    firsts.reserveCapacity(found.frames.count)
    for frame in found.frames.dropFirst() {
      guard let count = layout?.batchCount(contentSize: frame.contentSize) else {
        throw .damaged(path: file.path, reason: "its seek table tells of a frame that can't be one of batches")
      }
      firsts.append(firsts[firsts.count - 1] + count)
    }
    // The last frame contains its first batch number, which confirms the sizes of all frames before it. If it can't
    // be read, that frame is damaged, which is found when it is needed.
    let last = found.frames.count - 1
    if let layout, last > 0,
      let (_, content) = try file.wholeFrame(
        at: found.frames[last].offset, contentLimit: layout.maximumContentSize, decompressor)
    {
      guard let batches = BatchFrame(content, layout: layout), batches.firstBatch == firsts[last - 1],
        batches.batchCount == firsts[last] - firsts[last - 1]
      else { throw .damaged(path: file.path, reason: "its seek table contradicts the last frame") }
    }
    table = found
    firstBatches = firsts
  }

  /// Goes from frame to frame as long as they are intact.
  /// - Throws: `StorageError.damaged` if a committed frame is not intact.
  private mutating func recover(
    from file: PositionedFile, because reason: String, _ decompressor: borrowing ZstdDecompressor
  ) throws(StorageError) {
    if let layout {
      while let (frame, batches) = try file.batchFrame(at: table.end, layout, decompressor),
        batches.firstBatch == batchCount + 1
      {
        append(
          frame: frame, contentSize: layout.contentSize(batchCount: batches.batchCount),
          batchCount: batches.batchCount)
      }
      if try file.hasFrame(after: table.end, committing: batchCount + 1, layout, decompressor) {
        throw .damaged(
          path: file.path,
          reason: "frame \(table.frames.count), which begins with batch \(batchCount + 1), can't be read; \(reason)")
      }
    }
    let rest = try file.size() - table.end
    recovery = "\(reason); \(table.frames.count) frames are sound, the \(rest) bytes behind them are left over"
  }
}

extension PositionedFile {
  /// The frame that begins at `offset` and its content; nil if there is no intact one.
  fileprivate func wholeFrame(
    at offset: Int, contentLimit: Int, _ decompressor: borrowing ZstdDecompressor
  ) throws(StorageError) -> (frame: [UInt8], content: [UInt8])? {
    let rest = max(0, try size() - offset)
    var bytes = try read(upTo: min(rest, ZstdFrame.maximumSize(contentSize: contentLimit)), at: offset)
    guard let sizes = ZstdFrame.sizes(atStartOf: bytes), sizes.content <= contentLimit else { return nil }
    bytes.removeLast(bytes.count - sizes.frame)
    return (try? decompressor.content(of: bytes, count: sizes.content)).map { (bytes, $0) }
  }

  fileprivate func batchFrame(
    at offset: Int, _ layout: BatchLayout, _ decompressor: borrowing ZstdDecompressor
  ) throws(StorageError) -> (frame: [UInt8], batches: BatchFrame)? {
    guard
      let (frame, content) = try wholeFrame(at: offset, contentLimit: layout.maximumContentSize, decompressor),
      let batches = BatchFrame(content, layout: layout)
    else { return nil }
    return (frame, batches)
  }

  /// Whether an intact frame begins anywhere after `offset` whose append began after `batch` was committed.
  fileprivate func hasFrame(
    after offset: Int, committing batch: Int, _ layout: BatchLayout, _ decompressor: borrowing ZstdDecompressor
  ) throws(StorageError) -> Bool {
    let chunk = 1 << 20
    var start = offset + 1
    while true {
      // Chunks overlap by one byte less than a magic number, so that those across a boundary are found.
      let bytes = try read(upTo: chunk + ZstdFrame.magic.count - 1, at: start)
      guard bytes.count >= ZstdFrame.magic.count else { return false }
      for place in 0...bytes.count - ZstdFrame.magic.count
      where bytes[place] == ZstdFrame.magic[0] && bytes[place...].starts(with: ZstdFrame.magic) {
        let found = try batchFrame(at: start + place, layout, decompressor)
        if let found, found.batches.committedCount >= batch { return true }
      }
      start += chunk
    }
  }
}

extension ZstdDecompressor {
  init(for file: PositionedFile) throws(StorageError) {
    do { self = try ZstdDecompressor() } catch { throw error.storageError(path: file.path) }
  }
}
