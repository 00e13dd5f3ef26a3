import Foundation

/// The folder of one run and what lies where in it.
///
///     run.sqlite      configuration, fingerprint, observations, the index of checkpoints
///     batches.zst     which examples each batch held (`BatchJournal`)
///     checkpoints/    training states
///     slots/          states of a training for which its memory has no room, while it goes on
///     baselines/      runs of what it was compared with
///     sweep/          runs that are measured, while they are
///     initial.safetensors   the initial state, where it did not come from the seed
///     lock            held by the process that trains
///     slots-UUID/     states of a rewind, while it goes on
public struct RunFolder: Sendable {
  public let path: String

  public init(path: String) {
    self.path = path
  }

  public var databasePath: String { path + "/run.sqlite" }

  public var journalPath: String { path + "/batches.zst" }

  /// The runs of baselines.
  public var baselinesPath: String { path + "/baselines" }

  public var sweepPath: String { path + "/sweep" }

  /// Of everything in the folder.
  public var byteCount: Int {
    let files = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
    return files.reduce(0) { sum, name in
      let attributes = try? FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")
      return sum + (attributes?[.type] as? FileAttributeType == .typeRegular ? attributes?[.size] as? Int ?? 0 : 0)
    }
  }

  /// The initial state, where it did not come from the seed.
  public var initialStatePath: String { path + "/initial.safetensors" }

  private var checkpointFolder: String { path + "/checkpoints" }

  func checkpointPath(_ file: String) -> String { "\(checkpointFolder)/\(file)" }

  private var checkpointFiles: [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: checkpointFolder)) ?? []
  }

  /// Bytes of all checkpoints.
  public var checkpointBytes: Int {
    checkpointFiles.reduce(0) { sum, name in
      let attributes = try? FileManager.default.attributesOfItem(atPath: checkpointPath(name))
      return sum + (attributes?[.size] as? Int ?? 0)
    }
  }

  func makeCheckpointFolder() throws(StorageError) {
    do {
      try FileManager.default.createDirectory(atPath: checkpointFolder, withIntermediateDirectories: true)
    } catch {
      throw .cannotCreate(path: checkpointFolder, reason: reason(error))
    }
  }

  public func removeFiles(of record: CheckpointRecord) throws(StorageError) {
    for file in record.files { try remove(checkpointPath(file)) }
  }

  public func removeJournal() throws(StorageError) {
    try remove(journalPath)
  }

  private func remove(_ file: String) throws(StorageError) {
    guard unlink(file) == 0 || errno == ENOENT else {
      throw .failed(path: file, reason: String(cString: strerror(errno)))
    }
  }

  /// Removes what an interrupted run left in `checkpoints/`: files that no record names.
  public func removeOrphans(besides records: [CheckpointRecord]) {
    let named = Set(records.flatMap(\.files))
    for file in checkpointFiles where !named.contains(file) { unlink(checkpointPath(file)) }
  }

  /// Makes a new folder, with those above it.
  /// - Throws: `StorageError.exists` if there is something at `path`, `.cannotCreate` if it can't be made.
  public static func create(at path: String) throws(StorageError) -> RunFolder {
    let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
    do {
      try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
    } catch {
      throw .cannotCreate(path: parent, reason: reason(error))
    }
    // mkdir tells whether the folder is new: two processes can't both create it.
    guard mkdir(path, 0o777) == 0 else {
      let code = errno
      if code == EEXIST { throw .exists(path: path) }
      throw .cannotCreate(path: path, reason: String(cString: strerror(code)))
    }
    return RunFolder(path: path)
  }

  /// - Throws: `StorageError.notARun` if there is no run at `path`.
  public static func open(_ path: String) throws(StorageError) -> RunFolder {
    let folder = RunFolder(path: path)
    guard FileManager.default.fileExists(atPath: folder.databasePath) else { throw .notARun(path: path) }
    return folder
  }

  /// The runs directly inside the folder `path`, by name.
  public static func runs(in path: String) -> [RunFolder] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.sorted().compactMap { try? open("\(path)/\($0)") }
  }
}

/// A system error in words.
func reason(_ error: any Error) -> String {
  let error = error as NSError
  return (error.userInfo[NSUnderlyingErrorKey] as? NSError)?.localizedDescription ?? error.localizedDescription
}

/// What can go wrong with a run's files.
public enum StorageError: Error, Equatable, CustomStringConvertible {
  case exists(path: String)
  case cannotCreate(path: String, reason: String)
  /// A rewind can't keep states on disk.
  case noSlotFiles(path: String, reason: String)
  case notARun(path: String)
  case damaged(path: String, reason: String)
  /// Damaged, and nothing else has what it held.
  case lost(path: String, reason: String)
  case failed(path: String, reason: String)
  case inUse(path: String)
  /// The file is whole, but not the one that was meant.
  case mismatch(path: String, reason: String)

  public var description: String {
    switch self {
    case .exists(let path): "\(path) exists already; name a new folder with --out, or remove it first"
    case .cannotCreate(let path, let reason): "can't create \(path): \(reason); name another folder with --out"
    case .noSlotFiles(let path, let reason):
      "can't create \(path): \(reason); disk slots are kept in the run's folder: make it writable, or use slots in memory alone"
    case .notARun(let path): "\(path) is not a run folder (it has no run.sqlite); 'backtrail runs list' shows the runs"
    case .damaged(let path, let reason): "\(path) is damaged: \(reason); 'backtrail verify RUN --repair' makes anew what can be"
    case .lost(let path, let reason):
      "\(path) is damaged: \(reason); nothing can make it anew: bring back a copy of it, or train again, which gives the same bits"
    case .mismatch(let path, let reason): "\(path) does not fit: \(reason)"
    case .inUse(let path): "another process is working on \(path); wait until it ends, or stop it"
    case .failed(let path, let reason):
      "can't read or write \(path): \(reason); what was committed before is intact"
    }
  }
}
