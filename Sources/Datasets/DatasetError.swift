/// What can go wrong with data, by what its user can do about it. A description says what, where and what to do.
public enum DatasetError: Error, Equatable, CustomStringConvertible {
  /// The specification says nothing that can be loaded: a slip in usage.
  case unknown(specification: String, reason: String)
  /// A file or folder isn't there, or can't be read.
  case missing(path: String, reason: String, remedy: String)
  /// A file doesn't hold what its format or its use promises.
  case damaged(path: String, place: Place? = nil, reason: String, remedy: String)
  /// Each part is sound, but together they can't be had: a batch larger than the data set, say.
  case impossible(String)

  /// Where in a file.
  public enum Place: Equatable, Sendable {
    /// Lines and columns count from 1; a column is a cell of a table.
    case line(Int, column: Int? = nil)
    /// An offset from the start of the file, decompressed.
    case byte(Int)
    /// An entry, counted from 0: an example of a data set.
    case index(Int)
  }

  public var description: String {
    switch self {
    case .unknown(let specification, let reason):
      let forms = Dataset.catalogue.map { "\n  \($0.form): \($0.summary)" }.joined()
      return "data set “\(specification)”: \(reason). The forms known are:\(forms)"
    case .missing(let path, let reason, let remedy):
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
