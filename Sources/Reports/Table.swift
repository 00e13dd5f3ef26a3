/// Rows of cells, for a terminal or for a page.
public struct Table: Sendable, Equatable {
  public enum Alignment: Sendable {
    case left, right
  }

  /// The columns' names; empty for none.
  public var header: [String]
  public var rows: [[String]]
  /// Of the columns, as many as there are.
  public var alignment: [Alignment]
  /// Rows that stand out, by index: a page shows them bold.
  public var marked: Set<Int>

  public init(header: [String] = [], rows: [[String]], alignment: [Alignment], marked: Set<Int> = []) {
    self.header = header
    self.rows = rows
    self.alignment = alignment
    self.marked = marked
  }
}
