/// An error in keeping the floats of a buffer in a file. A description says what is wrong, where, and what to do.
public enum PagingError: Error, Equatable, CustomStringConvertible {
  /// The file, or the address space for its buffer, can't be had.
  case cannotMake(folder: String, reason: String)
  /// The system could not write pages or read them back.
  case failed(folder: String, reason: String)
  /// Pages were read back with other bytes than were written.
  case damaged(folder: String, reason: String)

  /// The folder of the file.
  public var folder: String {
    switch self {
    case .cannotMake(let folder, _), .failed(let folder, _), .damaged(let folder, _): folder
    }
  }

  /// What the system or the checksum says, without advice.
  public var reason: String {
    switch self {
    case .cannotMake(_, let reason), .failed(_, let reason), .damaged(_, let reason): reason
    }
  }

  public var description: String {
    switch self {
    case .cannotMake(let folder, let reason):
      "no training state can wait in \(folder): \(reason); make room there, or name a folder on another disk"
    case .failed(let folder, let reason):
      """
      a training state that waits in \(folder) can't be written or read: \(reason); check its disk, or name a folder on another; what \
      was committed before is intact
      """
    case .damaged(let folder, let reason):
      """
      a training state that waited in \(folder) has changed: \(reason); its disk or this machine's memory is damaged: name a folder on \
      another disk; what was committed before is intact
      """
    }
  }
}
