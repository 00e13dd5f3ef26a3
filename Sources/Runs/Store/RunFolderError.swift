/// An error in using a folder as that of a run.
public enum RunFolderError: Error, Equatable, CustomStringConvertible {
  case notARun(path: String)
  /// The creation of a run was interrupted in this folder.
  case neverMade(path: String)
  /// Another process holds the run's lock.
  case inUse(path: String)
  /// A rewind can't keep states on disk.
  case noSlotFiles(path: String, reason: String)

  public var description: String {
    switch self {
    case .notARun(let path): "\(path) is not a run folder (it has no run.sqlite); 'backtrail runs list' shows the runs"
    case .neverMade(let path):
      "\(path) never became a run, because its making was interrupted; there is nothing to go on with: train with `out` \(path) again"
    case .inUse(let path): "another process is working on \(path); wait until it ends, or stop it"
    case .noSlotFiles(let path, let reason):
      "can't create \(path): \(reason); disk slots are kept in the run's folder: make it writable, or use slots in memory alone"
    }
  }
}
