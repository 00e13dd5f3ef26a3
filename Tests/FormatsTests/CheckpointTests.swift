import Foundation
import Formats
import Tensors
import TestSupport
import Testing

@Suite struct CheckpointTests {
  let folder: TemporaryFolder
  var path: String { folder("state.ckpt") }

  init() throws { folder = try TemporaryFolder() }

  static let frame = 1 << 18
  static let counts = [0, 1, 2, 3, 5, 513, 4097, frame - 1, frame, frame + 1, 2 * frame + 7]

  @Test(arguments: counts, SampleState.allCases)
  func givesBackEveryBitAlone(count: Int, sample: SampleState) throws {
    let state = try sample.buffer(count: count)
    let header = try CheckpointFile.write(state, updateCount: 1000, to: path)
    var decoded = try SampleState.random.buffer(count: count, seed: 9)
    #expect(try CheckpointFile.read(path, into: &decoded) == header)
    #expect(decoded.bits == state.bits)
    #expect(header.digest == (try Digest(of: state, updateCount: 1000)))
    #expect(header.byteCount == (try folder.read("state.ckpt").count))
    #expect(try CheckpointFile.readHeader(path) == header)
    try CheckpointFile.verify(path)
  }

  @Test(arguments: counts, SampleState.allCases)
  func givesBackEveryBitFromAParent(count: Int, sample: SampleState) throws {
    for parentSample in [SampleState.trained, sample] {
      var buffer = try parentSample.buffer(count: count, seed: 3)
      let parentDigest = try Digest(of: buffer, updateCount: 7)
      let state = try sample.buffer(count: count, seed: 4)
      let header = try CheckpointFile.write(state, updateCount: 8, parent: buffer, parentDigest: parentDigest, to: path)
      #expect(header.parentDigest == parentDigest)
      #expect(try CheckpointFile.read(path, into: &buffer) == header)
      #expect(buffer.bits == state.bits)
    }
  }

  @Test(arguments: [1, 3, 19], [1, 2, 5])
  func writesTheSameBytesOnAnyNumberOfThreads(level: Int, threads: Int) throws {
    let count = level == 19 ? 3_000 : 5 * Self.frame + 11
    let parent = try SampleState.trained.buffer(count: count)
    let state = try parent.moved(by: 1e-4)
    let digest = try Digest(of: parent, updateCount: 0)
    for (name, threads) in [("one.ckpt", 1), ("several.ckpt", threads)] {
      let options = CheckpointOptions(level: level, threads: threads)
      try CheckpointFile.write(
        state, updateCount: 1, parent: parent, parentDigest: digest, options: options, to: folder(name))
    }
    #expect(try folder.read("one.ckpt") == folder.read("several.ckpt"))

    var decoded = try FloatBuffer(count: count)
    try decoded.copy(from: parent)
    try CheckpointFile.read(folder("several.ckpt"), into: &decoded, threads: threads)
    #expect(decoded.bits == state.bits)
  }

  @Test(arguments: CheckpointPrecision.allCases, CheckpointPrecision.allCases)
  func storesSectionsAtTheirPrecision(first: CheckpointPrecision, second: CheckpointPrecision) throws {
    let counts = [Self.frame + 5, 0, 1003]
    let sections = zip(counts, [first, .float32, second]).map { CheckpointSection(count: $0, precision: $1) }
    for sample in SampleState.allCases {
      let state = try sample.buffer(count: counts.reduce(0, +), seed: 1)
      let rounded = zip(state.bits, sections.flatMap { repeatElement($0.precision, count: $0.count) })
        .map { $1.rounded(Float(bitPattern: $0)).bitPattern }

      let header = try CheckpointFile.write(state, updateCount: 2, options: .init(sections: sections), to: path)
      #expect(header.sections == sections)
      var decoded = try FloatBuffer(count: state.count)
      try CheckpointFile.read(path, into: &decoded)
      #expect(decoded.bits == rounded)
      #expect(header.digest == (try Digest(of: decoded, updateCount: 2)))

      // The parent itself need not be rounded.
      let parent = try SampleState.trained.buffer(count: state.count, seed: 2)
      try decoded.copy(from: parent)
      try CheckpointFile.write(
        state, updateCount: 2, parent: parent, parentDigest: try Digest(of: parent, updateCount: 1),
        options: .init(sections: sections), to: path)
      try CheckpointFile.read(path, into: &decoded)
      #expect(decoded.bits == rounded)
    }
  }

  @Test func constantStatesTakeAlmostNothing() throws {
    for value in [0, 1, -0.1, Float.nan] {
      var state = try FloatBuffer(count: 10 * Self.frame)
      state.mutableVector.fill(value)
      let alone = try CheckpointFile.write(state, updateCount: 0, to: path)
      #expect(alone.byteCount < 10 * 1024)
      let unchanged = try CheckpointFile.write(
        state, updateCount: 0, parent: state, parentDigest: alone.digest, to: path)
      #expect(unchanged.byteCount < 10 * 1024)
      state[0] = 1
    }
  }

  /// Differences between unrelated states would be larger than the states.
  @Test func aUselessParentCostsNothing() throws {
    let state = try SampleState.trained.buffer(count: Self.frame, seed: 1)
    let other = try SampleState.random.buffer(count: Self.frame, seed: 2)
    let alone = try CheckpointFile.write(state, updateCount: 0, to: path)
    let digest = try Digest(of: other, updateCount: 0)
    let difference = try CheckpointFile.write(state, updateCount: 0, parent: other, parentDigest: digest, to: path)
    #expect(difference.byteCount == alone.byteCount)
  }

  @Test func compressesTrainedStates() throws {
    let parent = try SampleState.trained.buffer(count: Self.frame)
    let state = try parent.moved(by: 1e-5)
    let alone = try CheckpointFile.write(state, updateCount: 1, to: path)
    // Normal numbers have 2.56 bits of information in the exponent and nearly 24 random bits.
    #expect(alone.byteCount < Self.frame * 4 * 832 / 1000)
    let difference = try CheckpointFile.write(
      state, updateCount: 1, parent: parent, parentDigest: try Digest(of: parent, updateCount: 0), to: path)
    #expect(difference.byteCount < Self.frame * 4 * 600 / 1000)
  }

  // MARK: Not what was meant

  @Test func refusesAnotherParent() throws {
    let parent = try SampleState.trained.buffer(count: 1000)
    let state = try parent.moved(by: 1e-3)
    let digest = try Digest(of: parent, updateCount: 0)
    try CheckpointFile.write(state, updateCount: 1, parent: parent, parentDigest: digest, to: path)
    var other = try SampleState.trained.buffer(count: 1000, seed: 5)
    let error = #expect(throws: StorageError.self) { try CheckpointFile.read(path, into: &other) }
    #expect(error?.description.contains("\(digest)") == true)
  }

  @Test func refusesAStateOfAnotherLength() throws {
    try CheckpointFile.write(try FloatBuffer(count: 10), updateCount: 1, to: path)
    var other = try FloatBuffer(count: 11)
    #expect(throws: StorageError.mismatch(path: path, reason: "it holds 10 floats, not 11")) {
      try CheckpointFile.read(path, into: &other)
    }
  }

  @Test func tellsWhyAFileCannotBeOpened() throws {
    var state = try FloatBuffer(count: 1)
    #expect(throws: StorageError.damaged(path: path, reason: "it is missing")) {
      try CheckpointFile.read(path, into: &state)
    }
    #expect(throws: StorageError.damaged(path: folder.path, reason: "it is not a regular file")) {
      try CheckpointFile.readHeader(folder.path)
    }
  }

  // MARK: Crashes

  @Test func aFailedWriteLeavesTheOldFileAndNothingElse() throws {
    let state = try SampleState.trained.buffer(count: 100)
    try CheckpointFile.write(state, updateCount: 1, to: path)
    let before = try folder.read("state.ckpt")
    #expect(throws: StorageError.self) {
      try CheckpointFile.write(state, updateCount: 1, to: folder("missing/state.ckpt"))
    }
    // A file can't replace a folder, so the rename fails after everything was written.
    try FileManager.default.createDirectory(atPath: folder("taken/inside"), withIntermediateDirectories: true)
    #expect(throws: StorageError.self) { try CheckpointFile.write(state, updateCount: 2, to: folder("taken")) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["state.ckpt", "taken"])
    #expect(try folder.read("state.ckpt") == before)
  }

  /// The table of contents is written last, so a killed process leaves frames without a table.
  @Test func anUnfinishedFileIsNoCheckpoint() throws {
    try CheckpointFile.write(try SampleState.trained.buffer(count: 100), updateCount: 1, to: path)
    var bytes = try folder.read("state.ckpt")
    bytes.replaceSubrange(0..<124, with: repeatElement(0, count: 124))
    let partial = try folder.write(bytes, to: "state.ckpt.0A.partial")
    #expect(throws: StorageError.damaged(path: partial, reason: "it does not begin as a checkpoint does")) {
      try CheckpointFile.readHeader(partial)
    }
  }

  @Test func replacesAFileThatIsThere() throws {
    for updateCount in 1...2 {
      try CheckpointFile.write(try FloatBuffer(count: 3), updateCount: updateCount, to: path)
    }
    #expect(try CheckpointFile.readHeader(path).updateCount == 2)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["state.ckpt"])
  }
}
