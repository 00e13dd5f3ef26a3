import Tensors

/// The file `batches.zst` of a run folder, which records the examples of each batch, so that any batch is available
/// even if its original source is gone. This class reads it; `BatchJournalWriter` writes it.
///
///     let journal = try BatchJournal.open("run/batches.zst")
///     var indices = [Int](repeating: 0, count: journal.header.batchSize)
///     try journal.fill(&indices, batch: 777_777)
///
/// The file is in zstd's seekable format (see `SeekTable`), so `zstd -d` decompresses it. Frame 0 is the header, one
/// line of JSON; if batches are stored, each of the following frames holds 32 KiB of them (see `BatchLayout`). A
/// batch is read by decoding only its frame. In memory a journal takes 32 bytes per frame (157 kB for 10 million
/// batches of 8 from 60,000 examples) and the 16 frames decoded last: 512 KiB, or more if a single batch takes more
/// than 32 KiB.
///
/// Nothing is used unverified: each frame has a checksum of its own and one in the seek table, and contains the
/// number of its first batch, and no index beyond the data set is returned.
public final class BatchJournal: Sendable {
  public let header: BatchJournalHeader

  /// The reason why the journal was recovered from its frames; nil if its seek table was intact. Everything committed
  /// is there; an append was interrupted, or the end of the file is damaged or cut off. The next append repairs it.
  public let recovery: String?

  private let file: PositionedFile
  private let index: BatchJournalIndex
  private let frames: Lock<FrameCache>

  /// The path of the journal.
  public var path: String { file.path }

  /// The number of stored batches; 0 if batches follow from seeds.
  public var batchCount: Int { index.batchCount }

  /// - Throws: `StorageError.failed` if the file can't be read, and `.damaged` if its header is damaged, or a
  ///   committed frame without a seek table that locates the next one.
  public static func open(_ path: String) throws(StorageError) -> BatchJournal {
    try BatchJournal(try .open(path))
  }

  private init(_ file: PositionedFile) throws(StorageError) {
    self.file = file
    index = try BatchJournalIndex(reading: file)
    header = index.header
    recovery = index.recovery
    frames = Lock(FrameCache(decompressor: try ZstdDecompressor(for: file)))
  }

  /// Overwrites `indices`, which has `batchSize` elements, with the examples of batch `batch`, counted from 1. Lanes
  /// can share the journal: several recently used frames stay decoded, so that each lane finds its own again.
  /// - Throws: `StorageError.damaged` if the batch does not exist or its frame, which is named, is damaged; `.failed`
  ///   if the file can't be read or batches follow from seeds. The indices are then meaningless.
  public func fill(_ indices: inout [Int], batch: Int) throws(StorageError) {
    precondition(indices.count == header.batchSize, "\(indices.count) places for a batch of \(header.batchSize)")
    guard let layout = index.layout, batch >= 1, batch <= batchCount else { throw missing(batch) }
    let frame = index.frame(ofBatch: batch)
    let batches = try frames.withLock { cache throws(StorageError) in
      if let batches = cache.batches(ofFrame: frame) { return batches }
      let batches = try index.batches(ofFrame: frame, layout: layout, in: file, cache.decompressor)
      cache.insert(batches, frame: frame)
      return batches
    }
    guard batches.fill(&indices, position: batch - batches.firstBatch) else {
      throw outOfRange(batch: batch, frame: frame)
    }
  }

  /// Reads the whole file again and checks every checksum and every index.
  /// - Throws: `StorageError.damaged`, naming the first damaged frame, or if the seek table or the end of the file is
  ///   damaged.
  public func verify() throws(StorageError) {
    // The index read by `open` may be older than the damage.
    let index = try BatchJournalIndex(reading: file)
    let decompressor = try ZstdDecompressor(for: file)
    guard index.header == header else { throw .damaged(path: path, reason: "frame 0, the header, has changed") }
    if let layout = index.layout {
      var indices = [Int](repeating: 0, count: header.batchSize)
      for frame in 1..<index.table.frames.count {
        let batches = try index.batches(ofFrame: frame, layout: layout, in: file, decompressor)
        for position in 0..<batches.batchCount where !batches.fill(&indices, position: position) {
          throw outOfRange(batch: batches.firstBatch + position, frame: frame)
        }
      }
    }
    if let recovery = index.recovery { throw .damaged(path: path, reason: recovery) }
    guard index.batchCount >= batchCount else {
      throw .damaged(path: path, reason: "of \(batchCount) batches it held when opened, \(index.batchCount) are left")
    }
  }

  private func missing(_ batch: Int) -> StorageError {
    if case .seeded(let sampler, _) = header.content {
      return .failed(path: path, reason: "batch \(batch) is not stored: batches come from the sampler \(sampler)")
    }
    let found = recovery.map { " (\($0))" } ?? ""
    return .damaged(path: path, reason: "there is no batch \(batch): it holds \(batchCount) batches\(found)")
  }

  private func outOfRange(batch: Int, frame: Int) -> StorageError {
    .damaged(
      path: path,
      reason: "frame \(frame): batch \(batch) names an example beyond the data set of \(header.exampleCount)")
  }
}

/// The decoded frames used last, the latest first.
private struct FrameCache: ~Copyable {
  /// The number of kept frames, which exceeds the number of lanes on most machines.
  static let capacity = 16

  let decompressor: ZstdDecompressor
  private var entries: [(frame: Int, batches: BatchFrame)] = []

  init(decompressor: consuming ZstdDecompressor) { self.decompressor = decompressor }

  mutating func batches(ofFrame frame: Int) -> BatchFrame? {
    guard let place = entries.firstIndex(where: { $0.frame == frame }) else { return nil }
    if place > 0 { entries.insert(entries.remove(at: place), at: 0) }
    return entries[0].batches
  }

  mutating func insert(_ batches: BatchFrame, frame: Int) {
    if entries.count == Self.capacity { entries.removeLast() }
    entries.insert((frame, batches), at: 0)
  }
}
