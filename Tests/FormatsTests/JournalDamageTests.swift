import Foundation
import Formats
import TestSupport
import Testing

@Suite struct JournalDamageTests {
  let folder: TemporaryFolder
  var path: String { folder("batches.zst") }
  /// 32 KiB hold 4096 batches of 4 from 50,000 examples.
  let batches = Batches(exampleCount: 50_000, batchSize: 4)

  init() throws { folder = try TemporaryFolder() }

  /// A damaged file must lead to an error that names it or to correct batches, and to nothing else.
  func judge(
    _ bytes: [UInt8], of batches: Batches? = nil, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> Batches.Reading? {
    let batches = batches ?? self.batches
    try folder.write(bytes, to: "batches.zst")
    let journal: BatchJournal
    do {
      journal = try BatchJournal.open(path)
    } catch {
      #expect(error.isDamage(of: path), sourceLocation: sourceLocation)
      return nil
    }
    let reading = batches.read(journal)
    #expect(reading.wrong.isEmpty, sourceLocation: sourceLocation)
    #expect(reading.damaged.allSatisfy { $0.isDamage(of: path) && $0.description.contains("frame ") })
    let verification = failure(journal.verify)
    #expect(verification.map { $0.isDamage(of: path) } ?? true, sourceLocation: sourceLocation)
    if !reading.damaged.isEmpty || reading.recovery != nil {
      #expect(verification != nil, "verify passes over what reading meets", sourceLocation: sourceLocation)
    }
    return reading
  }

  @Test func framesAreNeverWrittenAgain() throws {
    try batches.write(to: path, commits: [100])
    for count in [101, 5000, 5000, 13_288, 13_289] {
      let before = try folder.read("batches.zst")
      let end = try seekTableStart(before)
      var writer = try BatchJournalWriter.open(path)
      while writer.batchCount < count { try writer.append(batches(writer.batchCount + 1)) }
      try writer.commit()
      let after = try folder.read("batches.zst")
      #expect(after.prefix(end) == before.prefix(end))
      #expect(after.count >= before.count)
      let reading = try #require(try judge(after))
      #expect(reading.right == count && reading.recovery == nil)
    }
  }

  /// Wherever an append breaks off, everything committed before it is there.
  @Test func anInterruptedAppendLosesNothing() throws {
    let few = Batches(exampleCount: 300, batchSize: 3)
    try few.write(to: path, commits: [40, 100])
    let frames = try seekTableStart(try folder.read("batches.zst"))
    var writer = try BatchJournalWriter.open(path)
    for number in 101...150 { try writer.append(few(number)) }
    try writer.commit()
    let whole = try folder.read("batches.zst")
    for size in frames..<whole.count {
      try folder.write(Array(whole.prefix(size)), to: "cut.zst")
      let journal = try BatchJournal.open(folder("cut.zst"))
      let reading = few.read(journal)
      #expect(reading.right == reading.batchCount && (100...150).contains(reading.right))
      #expect(journal.recovery != nil && failure(journal.verify)?.isDamage(of: folder("cut.zst")) == true)
      // Committing without new batches repairs the journal, and appending continues from there.
      try folder.write(Array(whole.prefix(size)), to: "mended.zst")
      var mender = try BatchJournalWriter.open(folder("mended.zst"))
      try mender.commit()
      try BatchJournal.open(folder("mended.zst")).verify()
      var writer = try BatchJournalWriter.open(folder("cut.zst"))
      #expect(writer.committedCount == reading.right)
      while writer.batchCount < 160 { try writer.append(few(writer.batchCount + 1)) }
      try writer.commit()
      let mended = try BatchJournal.open(folder("cut.zst"))
      #expect(few.read(mended).right == 160)
      try mended.verify()
    }
  }

  /// After a power cut any page of an append may contain zeros although later ones were written.
  @Test func pagesOfAnInterruptedAppendMayBeMissing() throws {
    try batches.write(to: path, commits: [6000])
    let frames = try seekTableStart(try folder.read("batches.zst"))
    var writer = try BatchJournalWriter.open(path)
    for number in 6001...30_000 { try writer.append(batches(number)) }
    try writer.commit()
    let whole = Array(try folder.read("batches.zst").dropLast(9))
    for hole in stride(from: frames, to: whole.count - 4096, by: 4096) {
      var bytes = whole
      for place in hole..<hole + 4096 { bytes[place] = 0 }
      let reading = try #require(try judge(bytes))
      #expect(reading.right == reading.batchCount && reading.right >= 6000 && reading.recovery != nil)
    }
  }

  /// If a frame was damaged before an append that was interrupted, the frames after it are not cut off.
  @Test func committedFramesAreNotTakenForAnInterruptedAppend() throws {
    try batches.write(to: path, commits: [10_000])
    var bytes = try folder.read("batches.zst")
    var writer = try BatchJournalWriter.open(path)
    for number in 10_001...20_000 { try writer.append(batches(number)) }
    // This batch is not committed.
    let during = try folder.read("batches.zst")
    #expect(writer.committedCount == 10_000)
    for place in [1000, 40_000, 60_000] {
      bytes = during
      bytes[place] ^= 1
      try folder.write(bytes, to: "other.zst")
      let other = folder("other.zst")
      for error in [
        failure { _ = try BatchJournal.open(other) },
        failure { _ = try BatchJournalWriter.open(other) },
      ] {
        #expect(error?.isDamage(of: other) == true && error?.description.contains("frame ") == true)
      }
      #expect(try folder.read("other.zst") == bytes)
    }
  }

  @Test func truncationIsFound() throws {
    try batches.write(to: path, commits: [5000, 5001, 20_000])
    let whole = try folder.read("batches.zst")
    var generator = SplitMix(state: 5)
    var sizes = (0..<100).map { _ in Int.random(in: 0..<whole.count, using: &generator) }
    for frame in try SeekTableReader(whole).frames {
      sizes += [frame.lowerBound, frame.lowerBound + 1, frame.upperBound - 1]
    }
    for size in sizes + [whole.count - 1] {
      let reading = try judge(Array(whole.prefix(size)))
      #expect(reading.map { $0.recovery != nil && $0.right == $0.batchCount } ?? true)
    }
    #expect(try #require(try judge(whole)).recovery == nil)
    #expect(try #require(try judge(whole + [0])).recovery != nil)
  }

  /// Flipped bits in frames are errors of these frames; flipped bits in the seek table leave all batches readable.
  @Test func flippedBitsAreFound() throws {
    let batches = Batches(exampleCount: 50_000, batchSize: 128)
    try batches.write(to: path, commits: [90, 91, 300])
    let whole = try folder.read("batches.zst")
    let table = try seekTableStart(whole)
    let frames = try SeekTableReader(whole).frames
    var generator = SplitMix(state: 11)
    var places = (0..<500).map { _ in Int.random(in: 0..<8 * whole.count, using: &generator) }
    places += (8 * table..<8 * whole.count)
    for frame in frames { places += 8 * frame.lowerBound..<8 * (frame.lowerBound + 12) }
    for frame in frames { places += 8 * (frame.upperBound - 4)..<8 * frame.upperBound }
    var harmless = 0
    for place in places {
      var bytes = whole
      bytes[place / 8] ^= 1 << UInt8(place % 8)
      let reading = try judge(bytes, of: batches)
      guard let reading else {
        #expect(frames[0].contains(place / 8), "only the header's damage hides all batches")
        continue
      }
      #expect(reading.batchCount == 300)
      if reading.right == 300, failure(try BatchJournal.open(path).verify) == nil { harmless += 1 }
    }
    // The two unused bits of the seek table, and the unused bit of each frame's header.
    #expect(harmless <= 2 + frames.count, "\(harmless) flips were not found")
  }

  /// Without a seek table, a frame is checked only by its own content.
  @Test func flippedBitsAreFoundWithoutASeekTable() throws {
    let batches = Batches(exampleCount: 50_000, batchSize: 128)
    try batches.write(to: path, commits: [300])
    let table = try SeekTableReader(try folder.read("batches.zst"))
    let frames = Array(try folder.read("batches.zst").prefix(table.start))
    var harmless = 0
    for frame in table.frames.dropFirst() {
      for place in 8 * frame.lowerBound..<8 * (frame.lowerBound + 40) {
        var bytes = frames
        bytes[place / 8] ^= 1 << UInt8(place % 8)
        let reading = try #require(try judge(bytes, of: batches))
        #expect(reading.right == reading.batchCount && reading.recovery != nil)
        if reading.right == 300 { harmless += 1 }
      }
    }
    #expect(harmless <= table.frames.count - 1, "the unused bit of each frame's header is harmless")
  }

  @Test func aMissingFrameEndsARecoveredJournal() throws {
    try batches.write(to: path, commits: [3 * 4096])
    var bytes = try folder.read("batches.zst")
    let table = try SeekTableReader(bytes)
    bytes.removeSubrange(table.start...)
    bytes.removeSubrange(table.frames[2])
    let reading = try #require(try judge(bytes))
    #expect(reading.right == 4096 && reading.batchCount == 4096)
  }

  /// The frames are intact, but belong to a larger data set than that of the header.
  @Test func indicesBeyondTheDataAreNotGivenOut() throws {
    let larger = Batches(exampleCount: 65_536, batchSize: 4)
    try larger.write(to: path, commits: [1000])
    let bytes = try folder.read("batches.zst")
    let frame = Array(bytes[try SeekTableReader(bytes).frames[1]])
    try FileManager.default.removeItem(atPath: path)
    try batches.write(to: path, commits: [])
    let header = try folder.read("batches.zst")
    try folder.write(Array(header[try SeekTableReader(header).frames[0]] + frame), to: "batches.zst")
    let journal = try BatchJournal.open(path)
    var indices = [0, 0, 0, 0]
    for number in 1...1000 {
      let error = failure { try journal.fill(&indices, batch: number) }
      if larger(number).allSatisfy({ $0 < 50_000 }) {
        #expect(error == nil && indices == larger(number))
      } else {
        #expect(error?.isDamage(of: path) == true)
        #expect(error?.description.contains("frame 1: batch \(number) ") == true)
      }
    }
    #expect(failure(journal.verify)?.description.contains("beyond the data set") == true)
  }

  /// A frame of the journal takes the place of another of the same size, with and without its entry in the seek
  /// table.
  @Test func exchangedFramesAreFound() throws {
    try batches.write(to: path, commits: [3 * 4096])
    var bytes = try folder.read("batches.zst")
    let frames = try SeekTableReader(bytes).frames
    #expect(frames[1].count == frames[2].count)
    let (first, second) = (Array(bytes[frames[1]]), Array(bytes[frames[2]]))
    bytes.replaceSubrange(frames[1], with: second)
    bytes.replaceSubrange(frames[2], with: first)
    var reading = try #require(try judge(bytes))
    #expect(reading.damaged.count == 2 * 4096 && reading.right == 4096)
    let entries = try SeekTableReader(bytes, checksums: false).start + 8
    for place in entries + 12..<entries + 24 { bytes.swapAt(place, place + 12) }
    reading = try #require(try judge(bytes))
    #expect(reading.damaged.count == 2 * 4096 && reading.right == 4096)
  }
}
