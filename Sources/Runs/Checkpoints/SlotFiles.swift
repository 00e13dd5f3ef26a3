import Formats
import Foundation
import Replay
import Tensors

/// The disk slots of a replay or a rewind: checkpoint files in a folder of their own, which goes when it ends.
///
/// They are of use to one process only, so that writing them does not wait for the disk.
public struct SlotFiles: SlotStorage {
  private let path: String
  /// Floats of a state that are rounded, the first ones, and to what.
  private let rounded: CheckpointSection?
  /// Held by a reader, so that others see that its folder is in use.
  private let claim: FolderLock?

  private static let trainingName = "slots"
  private static let readerPrefix = "slots-"

  /// Slots of the run's training, of which there is one at a time: what an interrupted one left goes.
  /// - Throws: `StorageError.cannotCreate`.
  public static func ofTraining(_ folder: RunFolder) throws(StorageError) -> SlotFiles {
    let slots = SlotFiles(path: "\(folder.path)/\(trainingName)", rounded: nil, claim: nil)
    slots.removeAll()
    if let failure = make(slots.path) { throw .cannotCreate(path: slots.path, reason: failure) }
    return slots
  }

  /// Slots of a reader of the run, of whom there may be several. What readers left that were killed goes.
  /// - Parameters:
  ///   - folder: the run's.
  ///   - rounded: how many floats of a state, the first ones, are rounded, and to what.
  /// - Throws: `RunFolderError.noSlotFiles`.
  public static func ofReader(
    _ folder: RunFolder, rounded: CheckpointSection? = nil
  ) throws(RunFolderError) -> SlotFiles {
    removeAbandoned(in: folder)
    var attempts = 0
    while true {
      let path = "\(folder.path)/\(readerPrefix)\(UUID().uuidString)"
      if let failure = make(path) { throw .noSlotFiles(path: path, reason: failure) }
      // Nil where a process that cleans up came between: it takes a folder without a claim for an abandoned one.
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

  /// Removes what readers of the run left that no longer live.
  /// - Parameters:
  ///   - folder: the run's.
  ///   - isAlone: whether no training of the run can be under way, as for whoever holds its lock: what one left goes
  ///     too.
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

  /// Removes a folder of slots. What is not a slot's file stays, and the folder with it; a link is left alone.
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

  /// Makes a folder. What a user put into one of this name stays there.
  /// - Returns: why it can't be made; nil where it is there.
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

  /// Size of the slot's file.
  public func bytes(slot: Int) throws(StorageError) -> Int { try PositionedFile.open(file(slot)).size() }

  public func removeAll() { Self.remove(path) }
}
