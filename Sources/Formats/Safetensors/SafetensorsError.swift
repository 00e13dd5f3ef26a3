/// Why a safetensors file can't be read or written. A description says what, where and what to do.
public enum SafetensorsError: Error, Equatable, CustomStringConvertible {
  /// The file is not there, or can't be read.
  case missing(path: String, reason: String, remedy: String)
  /// The file breaks the format, or holds what floats can't be read from.
  case damaged(path: String, place: Place, reason: String, remedy: String)
  /// There is no memory for what the file holds.
  case tooLarge(path: String, reason: String)
  case cannotWrite(path: String, reason: String)

  /// Where in a file.
  public enum Place: Equatable, Sendable {
    /// An offset from the start of the file.
    case byte(Int)
    case tensor(String)
  }

  public var description: String {
    switch self {
    case .missing(let path, let reason, let remedy): "\(path): \(reason). \(remedy)"
    case .damaged(let path, .byte(let offset), let reason, let remedy): "\(path), byte \(offset): \(reason). \(remedy)"
    case .damaged(let path, .tensor(let name), let reason, let remedy): "\(path), tensor “\(name)”: \(reason). \(remedy)"
    case .tooLarge(let path, let reason): "\(path): \(reason)"
    case .cannotWrite(let path, let reason): "\(path): can't be written: \(reason). Name another file."
    }
  }
}
