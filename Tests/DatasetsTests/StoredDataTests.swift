import Datasets
import Foundation
import Tensors
import TestSupport
import Testing

/// Data that stay in files are the same data.
@Suite struct StoredDataTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    var random = SplitMix(state: 5)
    func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
    func labels(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...9, using: &random) } }
    for name in ["idx", "idx-gz", "cifar", "cifar-gz", "tokens", "headed"] {
      try FileManager.default.createDirectory(atPath: folder(name), withIntermediateDirectories: true)
    }
    for (split, count) in [("train", 23), ("t10k", 7)] {
      let images = [0, 0, 8, 3, 0, 0, 0, UInt8(count), 0, 0, 0, 5, 0, 0, 0, 4] + bytes(count * 20)
      let classes = [0, 0, 8, 1, 0, 0, 0, UInt8(count)] + labels(count)
      try folder.write(images, to: "idx/\(split)-images-idx3-ubyte")
      try folder.write(classes, to: "idx/\(split)-labels-idx1-ubyte")
      try folder.appendGzip(images, to: "idx-gz/\(split)-images-idx3-ubyte.gz")
      try folder.appendGzip(classes, to: "idx-gz/\(split)-labels-idx1-ubyte.gz")
    }
    for (name, count) in [("data_batch_1.bin", 5), ("data_batch_2.bin", 3), ("test_batch.bin", 2)] {
      let records = labels(count).flatMap { [$0] + bytes(3072) }
      try folder.write(records, to: "cifar/\(name)")
      if count == 3 { try folder.write(records, to: "cifar-gz/\(name)") } else { try folder.appendGzip(records, to: "cifar-gz/\(name).gz") }
    }
    let rows = (0..<40).map { row in
      let cells = (0..<3).map { _ in Int.random(in: 0..<6, using: &random) == 0 ? "NA" : "\(Float.random(in: -9...9, using: &random))" }
      return "\(cells.joined(separator: ",")),\(row % 3)"
    }
    try folder.write("a,b,c,target\n" + rows.joined(separator: "\n"), to: "table.csv")
    try folder.appendGzip(Array("a,b,c,target\n\(rows.joined(separator: "\n"))".utf8), to: "table.csv.gz")
    try folder.write((0..<300).map { _ in ["ä", "z", "€", "b", "\n"][Int.random(in: 0..<5, using: &random)] }.joined(), to: "text.txt")
    for (name, count) in [("train.bin", 211), ("val.bin", 40)] {
      let tokens = (0..<count).flatMap { _ in [UInt8.random(in: 0...255, using: &random), UInt8.random(in: 0..<3, using: &random)] }
      try folder.write(tokens, to: "tokens/\(name)")
      try folder.write(header([20_240_520, 1, UInt32(count)]) + tokens, to: "headed/\(name)")
    }
  }

  static let specifications: [(form: String, targets: Targets.Kind)] = [
    ("mnist:idx", .classes), ("mnist:idx-gz", .classes), ("cifar10:cifar", .classes), ("cifar10:cifar-gz", .classes),
    ("csv:table.csv,missing=mean", .classes), ("csv:table.csv,missing=mean", .values), ("csv:table.csv.gz,missing=drop", .values),
    ("text:text.txt", .classes), ("tokens:tokens,vocabulary=768", .classes), ("tokens:headed,vocabulary=768", .classes),
  ]

  private func load(_ form: String, _ targets: Targets.Kind = .classes, limit: Int) throws -> Dataset {
    let parts = form.split(separator: ":")
    return try Dataset.load("\(parts[0]):\(folder(String(parts[1])))", context: 6, targets: targets, residentLimit: limit)
  }

  /// Digests and batches are the same bits with everything in memory, nothing, or the training split alone.
  @Test(arguments: specifications)
  func filesAndMemoryGiveTheSameBits(form: String, targets: Targets.Kind) throws {
    let resident = try load(form, targets, limit: 1 << 20)
    let trainingBytes = resident.training.count * resident.training.featureCount
    for limit in [0, trainingBytes, 4 * trainingBytes + 600] {
      let stored = try load(form, targets, limit: limit)
      #expect(stored.fingerprint == resident.fingerprint, "\(limit)")
      #expect(limit > 0 || stored.byteCount < resident.byteCount / 4)
      for (one, other) in [(stored.training, resident.training), (stored.test, resident.test)] {
        #expect(one.count == other.count && one.targetKind == other.targetKind && one.classCount == other.classCount)
        #expect(one.exampleShape == other.exampleShape && one.targetShape == other.targetShape)
        for range in [Array(0..<one.count), (0..<one.count).reversed(), [one.count - 1, 0, one.count - 1]] {
          let (a, b) = (try gathered(range, of: one), try gathered(range, of: other))
          #expect(a.features.map(\.bitPattern) == b.features.map(\.bitPattern))
          #expect(a.labels == b.labels && a.values.map(\.bitPattern) == b.values.map(\.bitPattern))
        }
        guard one.exampleShape.count == 3 else { continue }
        let augmentation = Augmentation.Batch(
          try Augmentation("crop:2,flip"), seed: 3, batch: 4, exampleShape: one.exampleShape)
        let indices = Array(0..<one.count)
        #expect(
          try gathered(indices, of: one, augmentation: augmentation).features
            == gathered(indices, of: other, augmentation: augmentation).features)
      }
    }
  }

  /// A table that outgrows the memory for collecting it goes to a file, and comes back if there is room after all.
  @Test func largeTablesGoThroughAFile() throws {
    var text = ""
    let row = (0..<99).map { "\($0 % 10)" }.joined(separator: ",")
    // Four fifths of 66,000 rows of 100 floats are more than 20 MiB.
    for index in 0..<66_000 { text += "\(index % 7),\(row)\n" }
    try folder.write(text, to: "large.csv")
    let stored = try load("csv:large.csv", .values, limit: 17 << 20)
    let resident = try load("csv:large.csv", .values, limit: 1 << 30)
    #expect(stored.training.byteCount == 0 && resident.byteCount == 66_000 * 400)
    #expect(stored.fingerprint == resident.fingerprint)
    #expect(try gathered([52_799, 1], of: stored.training).features == gathered([52_799, 1], of: resident.training).features)
  }

  @Test func targetsOutOfRangeAreFoundInFiles() throws {
    try folder.write("1,2\n3,-4\n5,6\n7,8\n", to: "values.csv")
    for limit in [0, 1 << 20] {
      let data = try load("csv:values.csv", .values, limit: limit)
      #expect(data.training.value(outside: 0...9) == -4 && data.training.value(outside: -4...9) == nil)
    }
  }

  /// What happens to a file after it was loaded, and what it is then.
  enum Change: CaseIterable {
    case shrunk, emptied, grown, overwritten
  }

  /// Never other numbers, and never a trap.
  @Test(arguments: [
    ("mnist:idx", "idx/train-images-idx3-ubyte"), ("cifar10:cifar", "cifar/data_batch_2.bin"), ("tokens:tokens", "tokens/train.bin"),
  ], Change.allCases)
  func changedFilesAreErrors(_ file: (form: String, name: String), change: Change) throws {
    let data = try load(file.form, limit: 0)
    let all = Array(0..<data.training.count)
    _ = try gathered(all, of: data.training)
    let size = try folder.read(file.name).count
    let handle = try #require(FileHandle(forUpdatingAtPath: folder(file.name)))
    // The clock of files may be coarse.
    usleep(20_000)
    switch change {
    case .shrunk: try handle.truncate(atOffset: UInt64(size - 3))
    case .emptied: try handle.truncate(atOffset: 0)
    case .grown: try handle.truncate(atOffset: UInt64(size + 1))
    case .overwritten: try handle.write(contentsOf: [0])
    }
    let error = try #require(failure { try gathered(all, of: data.training) })
    guard case .failed(let path, _, _) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(path == folder(file.name))
  }

  /// Temporary files have no name: what was decoded is gone with the data set.
  @Test func decodedFilesDoNotStay() throws {
    let before = try names()
    let data = try load("mnist:idx-gz", limit: 0)
    #expect(data.training.byteCount == 23)
    #expect(try names().isSubset(of: before))
  }

  private func names() throws -> Set<String> {
    let names = try FileManager.default.contentsOfDirectory(atPath: NSTemporaryDirectory())
    // Folders of other tests come and go.
    return Set(names.filter { name in
      var isFolder: ObjCBool = false
      return FileManager.default.fileExists(atPath: "\(NSTemporaryDirectory())/\(name)", isDirectory: &isFolder) && !isFolder.boolValue
        && name.hasPrefix("backtrail-")
    })
  }
}

/// The header of llm.c's files: 256 numbers of 4 bytes, of which those after `numbers` are 0.
func header(_ numbers: [UInt32]) -> [UInt8] {
  let bytes = numbers.flatMap { number in (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }
  return bytes + [UInt8](repeating: 0, count: 1024 - bytes.count)
}
