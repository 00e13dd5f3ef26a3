/// Rows of cells, for a terminal or for a page.
public struct Table: Sendable, Equatable {
  public enum Alignment: Sendable {
    case left, right
  }

  /// The names of the columns; empty for none.
  public var header: [String]
  public var rows: [[String]]
  /// The alignment of each column.
  public var alignment: [Alignment]
  /// The indices of rows that stand out: a page shows them in bold.
  public var marked: Set<Int>

  public init(header: [String] = [], rows: [[String]], alignment: [Alignment], marked: Set<Int> = []) {
    self.header = header
    self.rows = rows
    self.alignment = alignment
    self.marked = marked
  }
}
