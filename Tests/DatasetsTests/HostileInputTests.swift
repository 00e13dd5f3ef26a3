import CZlib
import Datasets
import Foundation
import Tensors
import TestSupport
import Testing

/// Malicious files must cause neither a trap, nor a hang, nor an allocation that their size does not justify.
@Suite struct HostileInputTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  static let table = "1,2,0\n3,4,1\n5,6,1\n7,8,0\n9,10,1\n11,12,0\n"

  /// Two gzip members with a table each, and the offset of the second one.
  private func twoMembers() throws -> (bytes: [UInt8], second: Int) {
    try folder.appendGzip(Array(Self.table.utf8), to: "members.gz")
    let second = try folder.read("members.gz").count
    try folder.appendGzip(Array(Self.table.utf8), to: "members.gz")
    return (try folder.read("members.gz"), second)
  }

  private func csv(_ bytes: [UInt8]) throws -> Dataset {
    try Dataset.load("csv:\(try folder.write(bytes, to: "table.csv.gz"))")
  }

  @Test func everyByteOfASecondMemberIsNeeded() throws {
    let (bytes, second) = try twoMembers()
    let whole = try csv(bytes)
    #expect(whole.training.count + whole.test.count == 12)
    for end in second + 1..<bytes.count {
      #expect(failure { try csv(Array(bytes[..<end])) }?.isDamaged == true, "cut at \(end)")
    }
    for place in second..<bytes.count {
      var changed = bytes
      changed[place] ^= 0xFF
      // The time, operating system and compression flags of a member do not affect its content.
      if (4...9).contains(place - second) { continue }
      #expect(failure { try csv(changed) }?.isDamaged == true, "byte \(place)")
    }
    var changed = bytes
    changed[second] ^= 0xFF
    #expect(failure { try csv(changed) }?.description.contains("byte \(second) of the file") == true)
  }

  @Test func onlyZerosPadTheEnd() throws {
    let (bytes, _) = try twoMembers()
    #expect(try csv(bytes + [UInt8](repeating: 0, count: 1000)).fingerprint == csv(bytes).fingerprint)
    for tail in [[1], Array("hello".utf8), [0, 0, 1], [0] + bytes, [0x1F], [0x1F, 0x8B]] as [[UInt8]] {
      #expect(failure { try csv(bytes + tail) }?.isDamaged == true, "\(tail.prefix(5))")
    }
  }

  /// Writes a gzip file that expands to `count` repetitions of `unit`.
  private func bomb(_ unit: [UInt8], count: Int, to name: String) throws -> String {
    let stream = try #require(gzopen(folder(name), "wb9"))
    for _ in 0..<count { #expect(gzwrite(stream, unit, UInt32(unit.count)) == unit.count) }
    #expect(gzclose(stream) == Z_OK)
    return folder(name)
  }


  @Test func bombsAreRefusedWithTheLimitAndAWayOut() throws {
    let mebibyte = { (text: String) in [UInt8](String(repeating: text, count: (1 << 20) / text.utf8.count).utf8) }
    let table = try bomb(mebibyte("0,1\n"), count: 100, to: "table.csv.gz")
    let text = try bomb(mebibyte("a"), count: 100, to: "text.gz")
    let batches = try bomb(mebibyte("1 2\n"), count: 100, to: "batches.gz")
    _ = try bomb([UInt8](repeating: 0, count: 3073 * 341), count: 100, to: "data_batch_1.bin.gz")
    try folder.write([UInt8](repeating: 0, count: 3073), to: "test_batch.bin")
    for read in [
      { _ = try Dataset.load("csv:\(table)") }, { _ = try Dataset.load("text:\(text)", context: 4) },
      { _ = try ImportedBatches.read(path: batches) }, { _ = try Dataset.load("cifar10:\(folder.path)") },
    ] as [() throws -> Void] {
      let error = failure(of: read)
      #expect(error?.isImpossible == true, "\(error.map(String.init(describing:)) ?? "")")
      #expect(error?.description.contains("64 MiB, or to 100 times") == true && error?.description.contains("gunzip") == true)
    }
  }

  @Test func cellsAndRowsAreLimited() throws {
    let long = failure { try Dataset.load("csv:\(try folder.write(String(repeating: "1", count: 70_000), to: "cell.csv"))") }
    #expect(long?.place == .line(1, column: 1) && long?.description.contains("65536 bytes") == true)
    let wide = failure { try Dataset.load("csv:\(try folder.write(String(repeating: ",", count: 1 << 20), to: "row.csv"))") }
    #expect(wide?.place == .line(1) && wide?.description.contains("1048576 cells") == true)
  }

  /// A file of 4 TiB that takes no space on the disk.
  private func sparse(_ name: String, beginning: [UInt8] = [], size: Int = 1 << 42) throws -> String {
    let path = try folder.write(beginning, to: name)
    #expect(truncate(path, off_t(size)) == 0)
    return path
  }

  @Test func sparseFilesAreRefusedAtOnce() throws {
    #expect(failure { try Dataset.load("csv:\(try sparse("a.csv"))") }?.isDamaged == true)
    #expect(failure { try Dataset.load("text:\(try sparse("a.txt"))", context: 4) }?.isImpossible == true)
    #expect(failure { try ImportedBatches.read(path: try sparse("a.batches")) }?.isDamaged == true)
    let header: [UInt8] = [0, 0, 8, 3, 0x40, 0, 0, 0, 0, 0, 0, 2, 0, 0, 8, 0]
    _ = try sparse("train-images-idx3-ubyte", beginning: header, size: header.count + 1 << 42)
    // Images stay in their file, whatever its size: what is refused is that there are no labels.
    #expect(failure { try Dataset.load("mnist:\(folder.path)") }?.isMissing == true)
  }

  @Test(.timeLimit(.minutes(1))) func onlyRegularFilesAreOpened() throws {
    let pipe = folder("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    for path in [pipe, "/dev/zero", "/dev/null"] {
      for read in [
        { _ = try Dataset.load("csv:\(path)") }, { _ = try Dataset.load("text:\(path)", context: 4) },
        { _ = try ImportedBatches.read(path: path) },
      ] as [() throws -> Void] {
        let error = failure(of: read)
        #expect(error?.isMissing == true && error?.description.contains("not a regular file") == true)
      }
    }
    for name in ["train-images-idx3-ubyte", "data_batch_1.bin"] { #expect(mkfifo(folder(name), 0o600) == 0) }
    #expect(failure { try Dataset.load("mnist:\(folder.path)") }?.isMissing == true)
    try folder.write([UInt8](repeating: 0, count: 3073), to: "test_batch.bin")
    #expect(failure { try Dataset.load("cifar10:\(folder.path)") }?.isMissing == true)
  }

  @Test(arguments: [
    "examples=100000000", "features=1000000", "examples=2147483647,classes=2147483647", "examples=2147483647,features=2147483647",
  ])
  func madeDataAreLimited(_ options: String) {
    let error = failure { try Dataset.load("synthetic:\(options)") }
    #expect(error?.isImpossible == true && error?.description.contains("MiB: made data may take 4096 MiB") == true)
  }

  @Test(arguments: ["data_batch_01.bin", "data_batch_x.bin", "data_batch2.bin", "Data_Batch_2.bin", "data_batch_2.bin.gzip"])
  func misnamedBatchesAreNotPassedOver(_ name: String) throws {
    for name in ["data_batch_1.bin", "test_batch.bin", "data_batch_7", "data_batch_1.md5"] {
      try folder.write([UInt8](repeating: 0, count: 3073), to: name)
    }
    #expect(try Dataset.load("cifar10:\(folder.path)").training.count == 1)
    try folder.write([UInt8](repeating: 0, count: 3073), to: name)
    let error = failure { try Dataset.load("cifar10:\(folder.path)") }
    #expect(error?.isDamaged == true && error?.description.contains(name) == true)
  }

  /// The characters of a text may be divided where the file is read in pieces.
  @Test func textIsReadInPieces() throws {
    let text = String(repeating: "aß€𝄞", count: 60_000)
    let data = try Dataset.load("text:\(try folder.write(text, to: "text"))", context: 3)
    #expect(data.training.count == 240_000 * 9 / 10 - 3)
    #expect(data.vocabulary?.decode([0, 1, 2, 3]) == "aß€𝄞")
    #expect(try gathered([215_000], of: data.training).features == [0, 1, 2])
    for tail in [[0xF0, 0x9D], [0xC3], [0x80], [0xE2, 0x82, 0x41], [0xFF]] as [[UInt8]] {
      let path = try folder.write(Array(text.utf8) + tail, to: "bad")
      #expect(failure { try Dataset.load("text:\(path)", context: 3) }?.isDamaged == true)
    }
  }

  @Test func buffersBeyondTheMemoryThereIsAreRefused() {
    for count in [Int.max, 1 << 45] {
      #expect(throws: TensorError.self) { _ = try FloatBuffer(count: count).count }
    }
  }
}
