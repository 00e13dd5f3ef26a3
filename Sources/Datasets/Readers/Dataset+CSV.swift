import Tensors

extension Dataset {
  /// Reads a table of numbers with one example per row and one column of targets: classes 0, 1, 2, … or real values.
  /// Features and values are used as they are; nothing is scaled.
  ///
  /// The first row is a header if one of its cells is neither a number nor missing. The target's column is the one
  /// asked for, or else the one named label, class, target or y, in upper or lower case, or else the last. Each class
  /// from 0 to the largest must occur, so that a mistake in a label can't enlarge the network. Every fifth row,
  /// starting with the first, is a test row; rows that are left out do not count.
  ///
  /// A cell that is empty, NA, NaN, null or ? is missing, which is an error unless the specification says what to do.
  static func csv(
    _ specification: CSVSpecification, targets: Targets.Kind, room: inout Int
  ) throws(DatasetError) -> Dataset {
    let path = specification.file
    var records = try CSVRecords(path: path)
    guard let first = try records.read() else {
      throw .damaged(path: path, reason: "is empty", remedy: "Name a file with a row for each example.")
    }
    var table = CSVTable(specification, columnCount: first.cells.count, targets: targets, room: room)
    try table.chooseTargetColumn(header: CSVTable.isHeader(first) ? first : nil)
    if !CSVTable.isHeader(first) { try table.append(first) }
    while let record = try records.read() { try table.append(record) }
    return try table.dataset(name: DatasetSpecification.csv(specification).description, room: &room)
  }
}
