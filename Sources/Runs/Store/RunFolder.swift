import Formats
import Foundation
import Replay
import Tensors

/// The folder of one run and the places of the files in it.
///
///     run.sqlite      configuration, fingerprint, observations, the index of checkpoints
///     batches.zst     which examples each batch held (`BatchJournal`)
///     checkpoints/    training states
///     slots/          states of a training for which its memory has no room, while it goes on
///     baselines/      runs of what it was compared with
///     sweep/          runs that are measured, while they are
///     initial.safetensors   the initial state, where it did not come from the seed
///     orders/         the files of orders `file:PATH`
///     lock            held by the process that trains
///     slots-UUID/     states of a rewind, while it goes on
public struct RunFolder: Sendable {
  public let path: String

  public init(path: String) {
    self.path = path
  }

  public var databasePath: String { path + "/run.sqlite" }

  public var journalPath: String { path + "/batches.zst" }

  /// The folder that contains the runs of baselines.
  public var baselinesPath: String { path + "/baselines" }

  public var sweepPath: String { path + "/sweep" }

  /// The total size in bytes of all files in the folder.
  public var byteCount: Int {
    let files = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
    return files.reduce(0) { sum, name in
      let attributes = try? FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")
      return sum + (attributes?[.type] as? FileAttributeType == .typeRegular ? attributes?[.size] as? Int ?? 0 : 0)
    }
  }

  /// The file of the initial state, which exists only if the initial state did not come from the seed.
  public var initialStatePath: String { path + "/initial.safetensors" }

  /// The run's copy of an order file, by the index of the order among those asked for.
  public func orderPath(_ place: Int) -> String { "\(path)/orders/\(place + 1).txt" }

  /// Writes a file into the folder, completely or not at all, even if the power is cut.
  public func keep(_ bytes: [UInt8], at path: String) throws(StorageError) {
    try PositionedFile.replace(path) { file throws(StorageError) in try file.write(bytes, at: 0) }
    // The folder that contains it may be new.
    try PositionedFile.syncFolder(of: URL(fileURLWithPath: path).deletingLastPathComponent().path)
  }

  private var checkpointFolder: String { path + "/checkpoints" }

  func checkpointPath(_ file: String) -> String { "\(checkpointFolder)/\(file)" }

  /// The names of checkpoint files, including unfinished ones. Other files in the folder are not Backtrail's.
  /// - Throws: `StorageError.failed` if the folder is a link, which may lead to another run's checkpoints.
  func checkpointFiles() throws(StorageError) -> [String] {
    try checkCheckpointFolder()
    let names = (try? FileManager.default.contentsOfDirectory(atPath: checkpointFolder)) ?? []
    return names.filter(CheckpointName.isOwn).sorted()
  }

  /// - Throws: `StorageError.failed` if `checkpoints` is a link or a file.
  public func checkCheckpointFolder() throws(StorageError) {
    var status = stat()
    guard lstat(checkpointFolder, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else { return }
    throw .failed(
      path: checkpointFolder, reason: "it is not a folder of the run's own but a link or a file: put the folder back in its place")
  }

  /// The total size of all checkpoints in bytes.
  public var checkpointBytes: Int {
    ((try? checkpointFiles()) ?? []).reduce(0) { sum, name in
      let attributes = try? FileManager.default.attributesOfItem(atPath: checkpointPath(name))
      return sum + (attributes?[.size] as? Int ?? 0)
    }
  }

  func makeCheckpointFolder() throws(StorageError) {
    try checkCheckpointFolder()
    if mkdir(checkpointFolder, 0o777) != 0 {
      let code = errno
      guard code == EEXIST else { throw .notMade(path: checkpointFolder, code: code) }
    }
    try PositionedFile.syncFolder(of: checkpointFolder)
  }

  public func removeFiles(of record: CheckpointRecord) throws(StorageError) {
    for file in record.files { try remove(checkpointPath(file)) }
  }

  public func removeJournal() throws(StorageError) {
    try remove(journalPath)
  }

  func remove(_ file: String) throws(StorageError) {
    guard unlink(file) == 0 || errno == ENOENT else {
      throw .failed(path: file, reason: String(cString: strerror(errno)))
    }
  }

  /// Makes a new folder, with missing folders above it, or takes over one whose creation was interrupted. Acquire its
  /// lock and then call `clear()` before writing anything into it.
  /// - Throws: `StorageError.exists` if there is something else at `path`, and `.cannotCreate` if the folder can't be
  ///   made.
  public static func create(at path: String) throws(StorageError) -> RunFolder {
    let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
    do {
      try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
    } catch {
      throw Self.cannotMake(parent, reason(error))
    }
    let folder = RunFolder(path: path)
    if mkdir(path, 0o777) != 0 {
      let code = errno
      guard code == EEXIST else { throw Self.cannotMake(path, String(cString: strerror(code))) }
      guard folder.holdsNothingButBeginnings else { throw .exists(path: path) }
    }
    do { try PositionedFile.syncFolder(of: path) } catch { throw Self.cannotMake(path, "\(error)") }
    return folder
  }

  private static func cannotMake(_ path: String, _ reason: String) -> StorageError {
    .cannotCreate(path: path, reason: "\(reason); name another folder with `out`")
  }

  /// Empties a folder whose creation was interrupted.
  /// - Throws: `StorageError.exists` if it has become a run meanwhile, or contains anything that is not Backtrail's.
  public func clear() throws(StorageError) {
    guard holdsNothingButBeginnings else { throw .exists(path: path) }
    for name in contents where name != "lock" {
      for inner in name == "orders" ? entries(of: name) : [] { unlink("\(path)/\(name)/\(inner)") }
      if name == "orders" { rmdir("\(path)/\(name)") } else { unlink("\(path)/\(name)") }
    }
  }

  /// Removes a folder that never became a run.
  public func removeBeginnings() {
    guard (try? clear()) != nil else { return }
    unlink(path + "/lock")
    rmdir(path)
  }

  /// Whether the folder never became a run: it is empty, or it has a lock and otherwise only files that are written
  /// before a run's database.
  var holdsNothingButBeginnings: Bool {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return false }
    let names = contents
    guard names.isEmpty || names.contains("lock") else { return false }
    return names.allSatisfy { name in
      if name == "orders" { return entries(of: name).allSatisfy { Self.isWritten($0, as: /[0-9]+\.txt/) } }
      return name.wholeMatch(of: /lock|batches\.zst|run\.sqlite\.partial(-journal|-wal|-shm)?/) != nil
        || Self.isWritten(name, as: /initial\.safetensors/)
    }
  }

  /// Whether a file name, finished or unfinished, matches a pattern.
  static func isWritten(_ name: String, as pattern: Regex<Substring>) -> Bool {
    (UnfinishedFile.finalName(of: name) ?? name).wholeMatch(of: pattern) != nil
  }

  private func entries(of folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: "\(path)/\(folder)")) ?? []
  }

  private var contents: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] }

  /// - Throws: `RunFolderError` if there is no run at `path`.
  public static func open(_ path: String) throws(RunFolderError) -> RunFolder {
    let folder = RunFolder(path: path)
    guard access(folder.databasePath, F_OK) == 0 else {
      let isBegun = folder.holdsNothingButBeginnings && !folder.contents.isEmpty
      throw isBegun ? .neverMade(path: path) : .notARun(path: path)
    }
    return folder
  }

  /// The runs directly inside the folder `path`, in order of their names.
  public static func runs(in path: String) -> [RunFolder] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.sorted().compactMap { try? open("\(path)/\($0)") }
  }
}
