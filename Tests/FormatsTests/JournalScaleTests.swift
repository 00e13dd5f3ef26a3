import Foundation
import Formats
import TestSupport
import Testing

@Suite struct JournalScaleTests {
  let folder: TemporaryFolder
  var path: String { folder("batches.zst") }

  /// The `zstd` program, if it is installed.
  static let zstd = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/zstd" }
    .first { FileManager.default.isExecutableFile(atPath: $0) }

  init() throws { folder = try TemporaryFolder() }

  /// A million batches take at most 2 % more than the entropy of their indices, and each is read from one small
  /// frame.
  @Test func aMillionBatches() throws {
    let batches = Batches(exampleCount: 60_000, batchSize: 8)
    try batches.write(to: path, commits: [500_000, 1_000_000])
    let file = try folder.read("batches.zst")
    let entropy = 8e6 * log2(60_000.0) / 8
    #expect(Double(file.count) < 1.02 * entropy)
    #expect(Double(file.count) < 1.01 * (16.0 / log2(60_000)) * entropy, "frames cost less than 1 %")
    // The sizes that a reader decodes for a batch and keeps for a frame.
    let table = try SeekTableReader(file)
    #expect(table.frames.allSatisfy { $0.count <= 33 << 10 } && table.contentSizes.allSatisfy { $0 <= 33 << 10 })
    #expect(table.frames.count * 32 < file.count / 900)
    let journal = try BatchJournal.open(path)
    var indices = [Int](repeating: 0, count: 8)
    var generator = SplitMix(state: 3)
    for number in [777_777, 1, 1_000_000, 500_000, 500_001]
      + (0..<2000).map({ _ in Int.random(in: 1...1_000_000, using: &generator) })
    {
      try journal.fill(&indices, batch: number)
      #expect(indices == batches(number))
    }
    try journal.verify()
  }

  /// Indices with regularities take less space than their bits.
  @Test func orderIsCompressed() throws {
    let header = Batches(exampleCount: 65_536, batchSize: 32).header
    var writer = try BatchJournalWriter.create(at: path, header)
    for number in 0..<10_000 { try writer.append((0..<32).map { (number % 100) * 32 + $0 }) }
    try writer.commit()
    #expect(try folder.read("batches.zst").count < 64 * 10_000 / 4)
  }

  /// zstd's own program reads the whole file: the line of the header, then the packed indices.
  @Test(.enabled(if: Self.zstd != nil))
  func zstdReadsIt() throws {
    let batches = Batches(exampleCount: 256, batchSize: 4)
    try batches.write(to: path, commits: [10, 9000])
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(Self.zstd))
    process.arguments = ["-q", "-d", path, "-o", folder("plain")]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    let plain = try folder.read("plain")
    #expect(plain.count == (try SeekTableReader(folder.read("batches.zst"))).contentSizes.reduce(0, +))
    let line = try #require(plain.firstIndex(of: UInt8(ascii: "\n")))
    let header = String(decoding: plain[..<line], as: UTF8.self)
    #expect(header.hasPrefix(#"{"batchSize":4,"dataFingerprint":""#))
    #expect(header.hasSuffix(#"","exampleCount":256,"format":"backtrail batches","indexBits":8,"version":1}"#))
    // With 8 bits per index, the bytes are the indices.
    let first = plain[(line + 1)...].prefix(16 + 40)
    #expect(Array(first.prefix(16)) == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    #expect(first.dropFirst(16).map(Int.init) == (1...10).flatMap { batches($0) })
    let second = plain[(line + 1 + 56)...]
    #expect(Array(second.prefix(16)) == [11, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0])
  }
}
