import Foundation
import Formats
import Tensors
import TestSupport

/// Batches that are computed from their number, so that a test need not keep those it wrote.
struct Batches {
  let exampleCount: Int
  let batchSize: Int

  func callAsFunction(_ number: Int) -> [Int] {
    var generator = SplitMix(state: UInt64(number) &* 0xD134_2543_DE82_EF95)
    return (0..<batchSize).map { _ in Int.random(in: 0..<exampleCount, using: &generator) }
  }

  var header: BatchJournalHeader {
    BatchJournalHeader(
      content: .imported, dataFingerprint: .ofNumbers, exampleCount: exampleCount, batchSize: batchSize)
  }

  /// Makes a journal with the batches from 1 to the last of `commits`, committing after each of these.
  func write(to path: String, commits: [Int]) throws {
    var writer = try BatchJournalWriter.create(at: path, header)
    var next = 1
    for commit in commits {
      while next <= commit {
        try writer.append(self(next))
        next += 1
      }
      try writer.commit()
    }
  }

  /// The result of reading every batch.
  struct Reading {
    var batchCount = 0
    var right = 0
    var wrong: [Int] = []
    var damaged: [StorageError] = []
    var recovery: String?
  }

  func read(_ journal: BatchJournal) -> Reading {
    var reading = Reading(batchCount: journal.batchCount, recovery: journal.recovery)
    var indices = [Int](repeating: -1, count: batchSize)
    for number in stride(from: 1, through: journal.batchCount, by: 1) {
      do {
        try journal.fill(&indices, batch: number)
        if indices == self(number) { reading.right += 1 } else { reading.wrong.append(number) }
      } catch { reading.damaged.append(error) }
    }
    return reading
  }
}

extension Digest {
  static var ofNumbers: Digest { Digest(of: [1, 2, 3].span.bytes) }
}

extension StorageError {
  /// Whether the error reports damage of this file.
  func isDamage(of path: String) -> Bool {
    if case .damaged(path, let reason) = self { !reason.isEmpty } else { false }
  }
}

/// The error that a body throws.
func failure(_ body: () throws -> Void) -> StorageError? {
  do {
    try body()
    return nil
  } catch { return error as? StorageError }
}
