import Formats
import Foundation
import Runs
import Tensors

/// Batches of 8 from 60,000 examples, as an import of another loader's choices makes them.
func registerJournal() {
  for count in [50_000, 100_000] {
    measure("journal: write \(count == 50_000 ? "50,000" : "100,000") batches") {
      (batches: RandomBatches(), folder: try ScratchFolder())
    } prepare: { material in
      try? FileManager.default.removeItem(atPath: material.folder("batches.zst"))
    } body: { material in
      try material.batches.write(count, to: material.folder("batches.zst"))
    }
  }
  for count in [100_000, 1_000_000] {
    let name = count == 100_000 ? "100,000" : "1,000,000"
    measure("journal: read 1,000 batches of \(name) at random") {
      try JournalReading(count: count)
    } body: { reading in
      // A prime step, so that no two batches read in turn lie in one frame.
      for i in 0..<1000 { try reading.fill(1 + i * 611_953 % count) }
    }
  }
  measure("journal: read 1,000 batches of 1,000,000 backward") {
    try JournalReading(count: 1_000_000)
  } body: { reading in
    for batch in stride(from: 500_000, to: 499_000, by: -1) { try reading.fill(batch) }
  }
}

/// The same batches for every journal, made before time is taken.
private struct RandomBatches {
  static let size = 8
  static let exampleCount = 60_000
  /// Used over and over.
  private let batches: [[Int]]

  init() {
    let source = RandomSource(seed: 1, purpose: .sampling)
    batches = (1...4096).map { batch in
      (0..<Self.size).map { source.index(below: Self.exampleCount, batch: batch, example: $0) }
    }
  }

  func callAsFunction(_ batch: Int) -> [Int] { batches[batch % batches.count] }

  func write(_ count: Int, to path: String) throws {
    var writer = try BatchJournalWriter.create(
      at: path,
      BatchJournalHeader(
        content: .imported, dataFingerprint: Digest(of: [Self.exampleCount].span.bytes),
        exampleCount: Self.exampleCount, batchSize: Self.size))
    for batch in 1...count { try writer.append(self(batch)) }
    try writer.commit()
  }
}

private final class JournalReading {
  private let folder: ScratchFolder
  private let batches = RandomBatches()
  private let journal: BatchJournal
  private var indices = [Int](repeating: 0, count: RandomBatches.size)

  init(count: Int) throws {
    folder = try ScratchFolder()
    try batches.write(count, to: folder("batches.zst"))
    journal = try BatchJournal.open(folder("batches.zst"))
    try fill(count / 3)
    guard indices == batches(count / 3) else { throw Meaningless(description: "the journal gives other batches") }
  }

  func fill(_ batch: Int) throws { try journal.fill(&indices, batch: batch) }
}
