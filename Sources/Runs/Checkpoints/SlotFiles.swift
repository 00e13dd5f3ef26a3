import Formats
import Foundation
import Replay
import Tensors

/// The disk slots of a replay or a rewind: checkpoint files in a folder of their own, which is removed at the end.
///
/// Only the process that wrote them reads them, so writing does not wait until they are safe on disk.
public struct SlotFiles: SlotStorage {
  private let path: String
  /// The number of leading floats of a state that are rounded, and their precision; nil if none are.
  private let rounded: CheckpointSection?
  /// A lock held by a reader, so that other processes see that its folder is in use.
  private let claim: FolderLock?

  private static let trainingName = "slots"
  private static let readerPrefix = "slots-"

  /// Makes the slots of the run's training, of which there is one at a time, and removes those an interrupted
  /// training left.
  /// - Throws: `StorageError.cannotCreate`.
  public static func ofTraining(_ folder: RunFolder) throws(StorageError) -> SlotFiles {
    let slots = SlotFiles(path: "\(folder.path)/\(trainingName)", rounded: nil, claim: nil)
    slots.removeAll()
    if let failure = make(slots.path) { throw .cannotCreate(path: slots.path, reason: "\(failure): make room on its disk, or check the permissions of the run's folder") }
    return slots
  }

  /// Makes the slots of a reader of the run, of which there may be several, and removes those that killed readers
  /// left.
  /// - Parameter rounded: The number of leading floats of a state that are rounded, and their precision.
  /// - Throws: `RunFolderError.noSlotFiles`.
  public static func ofReader(
    _ folder: RunFolder, rounded: CheckpointSection? = nil
  ) throws(RunFolderError) -> SlotFiles {
    removeAbandoned(in: folder)
    var attempts = 0
    while true {
      let path = "\(folder.path)/\(readerPrefix)\(UUID().uuidString)"
      if let failure = make(path) { throw .noSlotFiles(path: path, reason: failure) }
      // Nil if another process, cleaning up, took the folder without a claim for an abandoned one and removed it.
      if let claim = try? FolderLock.ofFolder(path, patience: .endless) {
        return SlotFiles(path: path, rounded: rounded, claim: claim)
      }
      attempts += 1
      guard attempts < 100 else {
        rmdir(path)
        throw .noSlotFiles(path: path, reason: "its file system has no locks")
      }
    }
  }

  /// Removes what readers of the run that no longer live have left.
  /// - Parameter isAlone: Whether no training of the run can be under way, as for the holder of its lock. The slots
  ///   that an interrupted training left are then removed too.
  public static func removeAbandoned(in folder: RunFolder, isAlone: Bool = false) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [] {
      let path = "\(folder.path)/\(name)"
      if name == trainingName, isAlone { remove(path) }
      guard name.hasPrefix(readerPrefix), UUID(uuidString: String(name.dropFirst(readerPrefix.count))) != nil,
        let claim = try? FolderLock.ofFolder(path, patience: .none)
      else { continue }
      remove(path)
      claim.hold()
    }
  }

  /// Removes a folder of slots. Files that are not slots stay, and so does the folder then; a symbolic link is left
  /// alone.
  private static func remove(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return }
    for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    where RunFolder.isWritten(name, as: /[0-9]+\.ckpt/) { unlink("\(path)/\(name)") }
    rmdir(path)
  }

  private init(path: String, rounded: CheckpointSection?, claim: FolderLock?) {
    self.path = path
    self.rounded = rounded
    self.claim = claim
  }

  /// Makes a folder. An existing one is used as it is, with everything in it.
  /// - Returns: Why the folder can't be made; nil if it exists now.
  private static func make(_ path: String) -> String? {
    mkdir(path, 0o777) == 0 || errno == EEXIST ? nil : String(cString: strerror(errno))
  }

  private func file(_ slot: Int) -> String { "\(path)/\(slot).ckpt" }

  public func save(_ state: borrowing TrainingState, slot: Int) throws {
    let rest = state.values.count - (rounded?.count ?? 0)
    let sections = rounded.map { [$0, CheckpointSection(count: rest, precision: .float32)] } ?? []
    _ = try CheckpointFile.write(
      state.values, updateCount: state.updateCount,
      options: CheckpointOptions(sections: sections, isSynced: false), to: file(slot))
  }

  public func load(slot: Int, into state: inout TrainingState) throws {
    state.updateCount = try CheckpointFile.read(file(slot), into: &state.values).updateCount
  }

  public func release(slot: Int) throws {
    unlink(file(slot))
  }

  /// The size of the slot's file in bytes.
  public func bytes(slot: Int) throws(StorageError) -> Int { try PositionedFile.open(file(slot)).size() }

  public func removeAll() { Self.remove(path) }
}
