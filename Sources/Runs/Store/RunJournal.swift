import Formats
import Replay
import Tensors

/// The batches that a journal stores.
package struct StoredBatches: Sendable {
  /// The example indices of all batches, one batch after the other.
  package let indices: [UInt32]
  package let batchSize: Int
  /// The journal's path.
  package let path: String
  /// Digest of the batch size and all indices.
  package let digest: Digest
}

/// A run's batch journal, written when the run is created. Batches that do not follow from seeds are read from it
/// from then on.
package enum RunJournal {
  /// The largest number of indices in all batches together.
  private static let mostIndices = 1 << 30

  private static func header(_ source: BatchSource, seeds: Range<Int>) -> BatchJournalHeader {
    let content: BatchJournalHeader.Content =
      switch source.method {
      case .seeded(let sampler): .seeded(sampler: sampler, seeds: seeds)
      case .stored: .imported
      }
    return BatchJournalHeader(
      content: content, dataFingerprint: source.data, exampleCount: source.exampleCount, batchSize: source.batchSize)
  }

  static func write(_ source: BatchSource, seeds: Range<Int>, in folder: RunFolder) throws {
    var journal = try BatchJournalWriter.create(at: folder.journalPath, header(source, seeds: seeds))
    guard case .stored(let count) = source.method else { return }
    for batch in 1..<count + 1 { try journal.append(try source.indices(batch: batch, seed: seeds.lowerBound)) }
    try journal.commit()
  }

  static func rewrite(_ source: BatchSource, seeds: Range<Int>, in folder: RunFolder) throws {
    try folder.removeJournal()
    try write(source, seeds: seeds, in: folder)
  }

  /// The batches of a journal that stores them; nil if its batches follow from seeds.
  package static func batches(in folder: RunFolder) throws -> StoredBatches? {
    let journal = try BatchJournal.open(folder.journalPath)
    guard journal.header.content == .imported else { return nil }
    guard journal.header.batchSize <= journal.header.exampleCount else {
      throw StorageError.damaged(
        path: folder.journalPath,
        reason: "no sampler gives batches of \(journal.header.batchSize) from \(journal.header.exampleCount) examples")
    }
    // Equal batches compress well, so the size of the file bounds nothing.
    let (count, overflow) = journal.batchCount.multipliedReportingOverflow(by: journal.header.batchSize)
    guard !overflow, count <= mostIndices, SystemMemory.has(count * MemoryLayout<UInt32>.stride) else {
      throw RunError.impossible(
        """
        \(folder.journalPath) tells of \(journal.batchCount) batches of \(journal.header.batchSize); there may be \
        \(mostIndices) indices in all, each takes 4 bytes of memory\(SystemMemory.note)
        """)
    }
    var all: [UInt32] = []
    all.reserveCapacity(count)
    var indices = [Int](repeating: 0, count: journal.header.batchSize)
    for batch in 1..<journal.batchCount + 1 {
      try journal.fill(&indices, batch: batch)
      for index in indices { all.append(UInt32(index)) }
    }
    return StoredBatches(
      indices: all, batchSize: journal.header.batchSize, path: folder.journalPath,
      digest: Digest(ofBatches: all, size: journal.header.batchSize))
  }

  /// Checks that the journal is this run's.
  /// - Throws: `StorageError.damaged` if it is not.
  static func check(_ source: BatchSource, seeds: Range<Int>, in folder: RunFolder) throws(StorageError) {
    let journal = try BatchJournal.open(folder.journalPath)
    guard journal.header == header(source, seeds: seeds) else {
      throw .damaged(path: folder.journalPath, reason: "it belongs to another run")
    }
  }
}
