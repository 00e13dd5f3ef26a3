import Tensors

import Foundation

/// What `csv:FILE[,target=COLUMN][,missing=drop|mean]` asks for; `label=` says the same as `target=`.
struct CSVSpecification: Equatable, Sendable, CustomStringConvertible {
  /// What is done where a cell has no value.
  enum MissingValues: String, CaseIterable, Sendable {
    /// The row is left out.
    case drop
    /// The training rows' mean of the column stands in; a row without a target is an error.
    case mean
  }

  let file: String
  /// The target's column; nil to find it.
  let column: String?
  /// Nil where a missing value is an error.
  let missing: MissingValues?
  /// How the column was asked for, `target` or `label`.
  private let keyword: String

  /// Options stand behind the file's name, which may hold commas too. So they are taken from the end, each once; what then
  /// looks like one more is part of the name.
  init(_ argument: String, absolute: (String) -> String) throws(SpecificationProblem) {
    var rest = argument[...]
    var (column, missing): (String?, MissingValues?) = (nil, nil)
    var keyword = "target"
    while let (key, mark) = Self.lastOption(of: rest) {
      let value = String(rest[mark.upperBound...])
      if key == "missing" {
        guard missing == nil else { break }
        guard let policy = MissingValues(rawValue: value) else {
          throw SpecificationProblem(reason: "`missing=` is drop or mean, not “\(excerpt(value))”")
        }
        missing = policy
      } else {
        guard column == nil else { break }
        guard !value.isEmpty else { throw SpecificationProblem(reason: "`\(key)=` needs a column's name") }
        (column, keyword) = (value, key)
      }
      rest = rest[..<mark.lowerBound]
    }
    guard !rest.isEmpty else { throw SpecificationProblem(reason: "`csv:` needs a file") }
    file = absolute(String(rest))
    (self.column, self.missing, self.keyword) = (column, missing, keyword)
  }

  private static func lastOption(of text: Substring) -> (key: String, mark: Range<Substring.Index>)? {
    ["target", "label", "missing"].compactMap { key in
      text.range(of: ",\(key)=", options: .backwards).map { (key, $0) }
    }.max { $0.1.lowerBound < $1.1.lowerBound }
  }

  var description: String {
    file + (column.map { ",\(keyword)=\($0)" } ?? "") + (missing.map { ",missing=\($0.rawValue)" } ?? "")
  }

  /// Whether a cell says that there is no value: it is empty, or NA, NaN, null or ?, in any case of letters.
  static func isMissing(_ cell: String) -> Bool {
    cell.isEmpty || cell == "?" || (cell.utf8.count <= 4 && ["na", "nan", "null"].contains(cell.lowercased()))
  }
}
