import Datasets
import Formats
import Storage
import Tensors

/// A run's batch journal: written when the run is created, and from then on where its batches come from.
enum RunJournal {
  private static func header(_ experiment: Experiment) -> BatchJournalHeader {
    let configuration = experiment.configuration
    let isImported = experiment.maps[0].sampler.batchCount != nil
    return BatchJournalHeader(
      content: isImported ? .imported : .seeded(sampler: configuration.sampler, seeds: configuration.seeds),
      dataFingerprint: experiment.dataset.fingerprint, exampleCount: experiment.dataset.training.count,
      batchSize: experiment.batchSize)
  }

  static func write(_ experiment: Experiment, in folder: RunFolder) throws {
    var journal = try BatchJournalWriter.create(at: folder.journalPath, header(experiment))
    let sampler = experiment.maps[0].sampler
    guard let count = sampler.batchCount else { return }
    var indices = [Int](repeating: 0, count: sampler.batchSize)
    for batch in 1...count {
      sampler.fill(&indices, batch: batch)
      try journal.append(indices)
    }
    try journal.commit()
  }

  static func rewrite(_ experiment: Experiment, in folder: RunFolder) throws {
    try folder.removeJournal()
    try write(experiment, in: folder)
  }

  /// The batches of a journal that stores them; nil for one whose batches follow from seeds.
  static func batches(in folder: RunFolder) throws -> ImportedBatches? {
    let journal = try BatchJournal.open(folder.journalPath)
    guard journal.header.content == .imported else { return nil }
    guard journal.header.batchSize <= journal.header.exampleCount else {
      throw StorageError.damaged(
        path: folder.journalPath,
        reason: "no sampler gives batches of \(journal.header.batchSize) from \(journal.header.exampleCount) examples")
    }
    // Equal batches compress well, so that the file's size says little.
    let (count, overflow) = journal.batchCount.multipliedReportingOverflow(by: journal.header.batchSize)
    guard !overflow, count <= ImportedBatches.mostIndices, SystemMemory.has(count * MemoryLayout<UInt32>.stride) else {
      throw RunError.impossible(
        """
        \(folder.journalPath) tells of \(journal.batchCount) batches of \(journal.header.batchSize); there may be \
        \(ImportedBatches.mostIndices) indices in all, each takes 4 bytes of memory\(SystemMemory.note)
        """)
    }
    var all: [UInt32] = []
    all.reserveCapacity(journal.batchCount * journal.header.batchSize)
    var indices = [Int](repeating: 0, count: journal.header.batchSize)
    for batch in 1..<journal.batchCount + 1 {
      try journal.fill(&indices, batch: batch)
      for index in indices { all.append(UInt32(index)) }
    }
    return ImportedBatches(indices: all, batchSize: journal.header.batchSize, path: folder.journalPath)
  }

  /// Checks that the journal is this run's.
  static func check(_ experiment: Experiment, in folder: RunFolder) throws(StorageError) {
    let journal = try BatchJournal.open(folder.journalPath)
    guard journal.header == header(experiment) else {
      throw .damaged(path: folder.journalPath, reason: "it belongs to another run")
    }
  }
}
