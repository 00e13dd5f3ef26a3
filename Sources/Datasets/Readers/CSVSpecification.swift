import Tensors

import Foundation

/// The parsed form of `csv:FILE[,target=COLUMN][,missing=drop|mean]`. `label=` means the same as `target=`.
struct CSVSpecification: Equatable, Sendable, CustomStringConvertible {
  /// The treatment of cells without a value.
  enum MissingValues: String, CaseIterable, Sendable {
    /// Rows with missing values are left out.
    case drop
    /// A missing value is replaced by the mean of its column over the training rows. A row without a target is an
    /// error.
    case mean
  }

  let file: String
  /// The name of the target's column; nil to choose one automatically.
  let column: String?
  /// The treatment of missing values; nil if they are errors.
  let missing: MissingValues?
  /// The keyword that was used for the column, `target` or `label`.
  private let keyword: String

  /// Options follow the file's name, which may itself contain commas. So they are taken from the end, each at most
  /// once; anything before them that looks like another option is part of the name.
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

  /// Whether a cell means that there is no value: it is empty, or NA, NaN, null or ?, in upper or lower case.
  static func isMissing(_ cell: String) -> Bool {
    cell.isEmpty || cell == "?" || (cell.utf8.count <= 4 && ["na", "nan", "null"].contains(cell.lowercased()))
  }
}
