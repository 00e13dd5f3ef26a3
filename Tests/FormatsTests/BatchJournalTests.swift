import Foundation
import Formats
import TestSupport
import Testing

@Suite struct BatchJournalTests {
  let folder: TemporaryFolder
  var path: String { folder("batches.zst") }

  init() throws { folder = try TemporaryFolder() }

  /// Every width of an index from 0 bits, at both ends of its range.
  @Test(arguments: 0...20, [1, 3, 8])
  func batchesComeBack(bits: Int, batchSize: Int) throws {
    for exampleCount in Set([1 << bits, (1 << bits) / 2 + 1]) {
      let batches = Batches(exampleCount: exampleCount, batchSize: batchSize)
      #expect(BatchLayout(exampleCount: exampleCount, batchSize: batchSize)?.indexBits == bits)
      try batches.write(to: path, commits: [1, 2, 700])
      let journal = try BatchJournal.open(path)
      #expect(journal.header == batches.header && journal.recovery == nil)
      let reading = batches.read(journal)
      #expect(reading.batchCount == 700 && reading.right == 700)
      try journal.verify()
      try FileManager.default.removeItem(atPath: path)
    }
  }

  /// Commits happen just before, at and just after a frame is full.
  @Test(arguments: [-1, 0, 1], [1, 2])
  func framesThatAreExactlyFull(excess: Int, frames: Int) throws {
    let batches = Batches(exampleCount: 60_000, batchSize: 256)
    let layout = try #require(BatchLayout(exampleCount: 60_000, batchSize: 256))
    #expect(layout.batchesPerFrame == 64)
    let count = frames * layout.batchesPerFrame + excess
    try batches.write(to: path, commits: [count, 2 * count])
    let journal = try BatchJournal.open(path)
    #expect(batches.read(journal).right == 2 * count)
    try journal.verify()
  }

  /// A batch larger than the intended size of a frame has a frame of its own.
  @Test func largeBatches() throws {
    let batches = Batches(exampleCount: 1 << 20, batchSize: 50_000)
    try batches.write(to: path, commits: [3])
    #expect(batches.read(try BatchJournal.open(path)).right == 3)
  }

  @Test func theLargestIndicesComeBack() throws {
    let header = BatchJournalHeader(
      content: .imported, dataFingerprint: .ofNumbers, exampleCount: 1 << 32, batchSize: 3)
    var writer = try BatchJournalWriter.create(at: path, header)
    try writer.append([1 << 32 - 1, 0, 1 << 31])
    try writer.commit()
    var indices = [0, 0, 0]
    try BatchJournal.open(path).fill(&indices, batch: 1)
    #expect(indices == [1 << 32 - 1, 0, 1 << 31])
  }

  @Test func seedsAreAllThatIsStoredOfSeededBatches() throws {
    let header = BatchJournalHeader(
      content: .seeded(sampler: "shuffle", seeds: 3..<10_003), dataFingerprint: .ofNumbers, exampleCount: 60_000,
      batchSize: 8)
    var writer = try BatchJournalWriter.create(at: path, header)
    let refusal = failure { try writer.append([1, 2, 3, 4, 5, 6, 7, 8]) }
    #expect(refusal?.description.contains("none is stored") == true)
    let journal = try BatchJournal.open(path)
    #expect(journal.header == header && journal.batchCount == 0 && journal.recovery == nil)
    try journal.verify()
    #expect(try folder.read("batches.zst").count < 300)
    var indices = [Int](repeating: 0, count: 8)
    let missing = failure { try journal.fill(&indices, batch: 1) }
    #expect(missing?.description.contains("sampler shuffle") == true)
  }

  @Test func anEmptyJournalIsOne() throws {
    let batches = Batches(exampleCount: 10, batchSize: 2)
    try batches.write(to: path, commits: [])
    let journal = try BatchJournal.open(path)
    #expect(journal.batchCount == 0 && journal.recovery == nil)
    try journal.verify()
  }

  @Test func whatIsNoBatchOfTheJournalIsRefused() throws {
    var writer = try BatchJournalWriter.create(at: path, Batches(exampleCount: 10, batchSize: 2).header)
    for batch in [[1], [1, 2, 3], [1, 10], [-1, 1], []] {
      #expect(failure { try writer.append(batch) } != nil)
    }
    try writer.append([9, 0])
    #expect(writer.batchCount == 1 && writer.committedCount == 0)
    try writer.commit()
    #expect(writer.committedCount == 1)
    let journal = try BatchJournal.open(path)
    var indices = [0, 0]
    try journal.fill(&indices, batch: 1)
    #expect(indices == [9, 0])
    for number in [-1, 0, 2] {
      #expect(failure { try journal.fill(&indices, batch: number) }?.isDamage(of: path) == true)
    }
  }

  @Test func impossibleJournalsAreNotMade() throws {
    let impossible: (Int, Int) -> StorageError? = { exampleCount, batchSize in
      failure {
        _ = try BatchJournalWriter.create(at: path, Batches(exampleCount: exampleCount, batchSize: batchSize).header)
      }
    }
    for (exampleCount, batchSize) in [(0, 1), (1, 0), (1 << 33, 1), (10, .max), (-1, -1)] {
      guard case .cannotCreate = impossible(exampleCount, batchSize) else {
        Issue.record("a journal of batches of \(batchSize) from \(exampleCount)")
        continue
      }
    }
    #expect(!FileManager.default.fileExists(atPath: path))
    #expect(impossible(10, 1) == nil)
    #expect(impossible(10, 1) == .exists(path: path))
  }

  @Test func oneWriterAtATime() throws {
    let batches = Batches(exampleCount: 10, batchSize: 2)
    let writer = try BatchJournalWriter.create(at: path, batches.header)
    #expect(failure { _ = try BatchJournalWriter.open(path) } != nil)
    #expect(writer.batchCount == 0)
  }

  @Test func aFileThatIsNoJournalIsNamed() throws {
    #expect(failure { _ = try BatchJournal.open(path) }?.description.contains(path) == true)
    for bytes in [[], [1], [UInt8](repeating: 0, count: 1000), Array("{\"format\":\"backtrail batches\"}".utf8)] {
      try folder.write(bytes, to: "batches.zst")
      #expect(failure { _ = try BatchJournal.open(path) }?.isDamage(of: path) == true)
    }
  }

  @Test func lanesShareAJournal() async throws {
    let batches = Batches(exampleCount: 60_000, batchSize: 64)
    try batches.write(to: path, commits: [10_000])
    let journal = try BatchJournal.open(path)
    let wrong = try await withThrowingTaskGroup(of: Int.self) { group in
      for lane in 0..<4 {
        group.addTask {
          var generator = SplitMix(state: UInt64(lane))
          var indices = [Int](repeating: 0, count: 64)
          var wrong = 0
          for _ in 0..<5000 {
            let number = Int.random(in: 1...10_000, using: &generator)
            try journal.fill(&indices, batch: number)
            if indices != batches(number) { wrong += 1 }
          }
          return wrong
        }
      }
      return try await group.reduce(0, +)
    }
    #expect(wrong == 0)
  }

  @Test func aReaderOutlivesAnAppend() throws {
    let batches = Batches(exampleCount: 1000, batchSize: 4)
    try batches.write(to: path, commits: [5000])
    let early = try BatchJournal.open(path)
    var writer = try BatchJournalWriter.open(path)
    for number in 5001...20_000 { try writer.append(batches(number)) }
    #expect(batches.read(early).right == 5000)
    // The seek table is gone, but the frames are there.
    let during = batches.read(try BatchJournal.open(path))
    #expect(during.right == during.batchCount && during.right > 5000 && during.recovery != nil)
    try writer.commit()
    #expect(batches.read(early).right == 5000)
    #expect(batches.read(try BatchJournal.open(path)).right == 20_000)
  }
}
