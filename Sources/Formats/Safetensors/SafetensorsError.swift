/// An error in reading or writing a safetensors file. A description says what is wrong, where, and what to do.
public enum SafetensorsError: Error, Equatable, CustomStringConvertible {
  /// The file does not exist or can't be read.
  case missing(path: String, reason: String, remedy: String)
  /// The file violates the format, or has elements that can't be read as floats.
  case damaged(path: String, place: Place, reason: String, remedy: String)
  /// There is not enough memory for the contents of the file.
  case tooLarge(path: String, reason: String)
  case cannotWrite(path: String, reason: String)

  /// A place in a file.
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
