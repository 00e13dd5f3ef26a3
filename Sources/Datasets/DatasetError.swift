/// An error in data; the cases differ in what the user can do. A description says what is wrong, where, and what to
/// do.
public enum DatasetError: Error, Equatable, CustomStringConvertible {
  /// The specification has no form that can be loaded.
  case unknown(specification: String, reason: String)
  /// A file or folder does not exist or can't be read.
  case missing(path: String, reason: String, remedy: String)
  /// A file does not contain what its format or its use requires.
  case damaged(path: String, place: Place? = nil, reason: String, remedy: String)
  /// A file or folder that was usable can't be read or written any more, or is not what it was.
  case failed(path: String, reason: String, remedy: String)
  /// Each part is valid, but they can't be combined; for example, a batch is larger than the data set.
  case impossible(String)

  /// A place in a file.
  public enum Place: Equatable, Sendable {
    /// A line, and in a table also a column. Both count from 1.
    case line(Int, column: Int? = nil)
    /// An offset in bytes from the start of the decompressed file.
    case byte(Int)
    /// The index of an entry, such as an example of a data set, counted from 0.
    case index(Int)
  }

  public var description: String {
    switch self {
    case .unknown(let specification, let reason):
      let forms = Dataset.catalogue.map { "\n  \($0.form): \($0.summary)" }.joined()
      return "data set “\(specification)”: \(reason). The forms known are:\(forms)"
    case .missing(let path, let reason, let remedy), .failed(let path, let reason, let remedy):
      return "\(path): \(reason). \(remedy)"
    case .damaged(let path, let place, let reason, let remedy):
      return "\(path)\(place.map { ", \($0.text)" } ?? ""): \(reason). \(remedy)"
    case .impossible(let reason):
      return reason
    }
  }
}

extension DatasetError.Place {
  fileprivate var text: String {
    switch self {
    case .line(let line, nil): "line \(line)"
    case .line(let line, let column?): "line \(line), column \(column)"
    case .byte(let offset): "byte \(offset)"
    case .index(let index): "index \(index)"
    }
  }
}
