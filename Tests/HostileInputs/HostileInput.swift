import Backtrail
import Datasets
import Formats
import Foundation
import Replay
import Runs
import Tensors

/// The readers of bytes from strangers, each as one function of the bytes. The fuzzer calls it with bytes that it
/// generates, and a test with those in `Fuzz/Corpus`. For any bytes the result must be a value or an error.
public enum HostileInput: String, CaseIterable, Sendable {
  /// A checkpoint, unchanged and with its checksums corrected, so that the code behind the checks is reached.
  case checkpoint
  /// A batch journal, unchanged.
  case journal
  /// The frames of a journal before compression: a line of JSON, then for each frame two bytes with its length, and
  /// its content.
  case journalFrames
  case safetensors
  case csv
  case mnist
  case cifar
  case text
  /// A file of tokens, without and with a header.
  case tokens
  /// The batches of `--sampler file:PATH`.
  case batches
  /// The sequences of `--order file:PATH`.
  case order
  case settings

  /// - Throws: The error of the reader.
  public func read(_ bytes: [UInt8]) throws {
    let folder = try Scratch.folder(rawValue)
    let path = "\(folder)/input"
    func write(_ bytes: [UInt8], to path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }
    try write(bytes, to: path)
    switch self {
    case .checkpoint:
      try? Self.readCheckpoint(path)
      try write(sealed(checkpoint: bytes), to: path)
      try Self.readCheckpoint(path)
    case .journal:
      try Self.readJournal(path)
    case .journalFrames:
      try write(seekable(frames: bytes), to: path)
      try Self.readJournal(path)
    case .safetensors:
      _ = try Safetensors.read(path: path)
    case .csv:
      try Self.readDataset("csv:\(path)")
    case .mnist:
      let images = "\(folder)/train-images-idx3-ubyte"
      try write(bytes, to: images)
      for (name, content) in [
        ("train-labels-idx1-ubyte", [0, 0, 8, 1, 0, 0, 0, 1, 7]), ("t10k-labels-idx1-ubyte", [0, 0, 8, 1, 0, 0, 0, 1, 7]),
        ("t10k-images-idx3-ubyte", [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9]),
      ] as [(String, [UInt8])] { try write(content, to: "\(folder)/\(name)") }
      try Self.readDataset("mnist:\(folder)")
    case .cifar:
      try write(bytes, to: "\(folder)/data_batch_1.bin")
      try write([UInt8](repeating: 1, count: 3073), to: "\(folder)/test_batch.bin")
      try Self.readDataset("cifar10:\(folder)")
    case .text:
      try Self.readDataset("text:\(path)")
    case .tokens:
      try write(bytes, to: "\(folder)/train.bin")
      try write([1, 0, 2, 0, 3, 0], to: "\(folder)/val.bin")
      try Self.readDataset("tokens:\(folder)")
    case .batches:
      _ = try ImportedBatches.read(path: path)
    case .order:
      let order = try CompositionOrder.listed(ListedOrder(name: "file:\(path)", text: readOrderFile(path)))
      for n in 1...max(1, min(order.lastIterate ?? 1, 20)) {
        let sequence = order.sequence(n)
        if sequence.count > 0 { _ = (sequence[0], sequence[sequence.count - 1], sequence.prefix(sequence.count / 2).count) }
      }
    case .settings:
      _ = try RunConfiguration(RunSettings(configurationFile: path))
    }
  }

  /// Loads a data set in memory and left in files, which must come to the same, and gathers an example.
  private static func readDataset(_ specification: String) throws {
    let resident = Result { try Dataset.load(specification, context: 2) }
    let stored = Result { try Dataset.load(specification, context: 2, residentLimit: 0) }
    guard case (.success(let a), .success(let b)) = (resident, stored) else {
      guard case (.failure, .failure(let error)) = (resident, stored) else {
        preconditionFailure("\(specification) is read into memory (\(resident)), or from its file (\(stored)), but not both")
      }
      throw error
    }
    precondition(a.fingerprint == b.fingerprint, "\(specification) is other data in a file")
    var buffer = try FloatBuffer(count: b.training.featureCount)
    var targets = Targets(b.targetKind, count: b.training.targetCount)
    try b.training.gather(
      [b.training.count - 1], into: buffer.mutableVector.matrix(rows: 1, columns: b.training.featureCount), targets: &targets)
  }

  private static func readCheckpoint(_ path: String) throws {
    let header = try CheckpointFile.readHeader(path)
    try CheckpointFile.verify(path)
    var state = try StateBuffer(count: header.stateCount)
    try CheckpointFile.read(path, into: &state)
  }

  private static func readJournal(_ path: String) throws {
    let journal = try BatchJournal.open(path)
    try journal.verify()
    var indices = [Int](repeating: 0, count: journal.header.batchSize)
    for batch in [1, journal.batchCount] { try journal.fill(&indices, batch: batch) }
  }
}

/// Folders for input files, one for each kind, which stay in the system's temporary folder when the process ends.
private enum Scratch {
  private static let root =
    (FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory())
    + "/backtrail-hostile-\(ProcessInfo.processInfo.processIdentifier)"

  static func folder(_ name: String) throws -> String {
    let folder = "\(root)/\(name)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return folder
  }
}
