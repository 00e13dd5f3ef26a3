extension Dataset {
  /// A table of numbers, a row an example, with one column of classes 0, 1, 2, …; features are used as they are.
  ///
  /// The first row is a header where a cell of it is neither a number nor empty. The label column is `label` where that
  /// is given; else the one headed label, class, target or y, in any case of letters; else the last. Each class from 0 to
  /// the largest must occur, so that a slip in a label can't grow the network. Every fifth row, the first among them, is
  /// a test row.
  static func csv(file path: String, label: String?) throws(DatasetError) -> Dataset {
    var records = try CSVRecords(path: path)
    guard let first = try records.read() else {
      throw .damaged(path: path, reason: "is empty", remedy: "Name a file with a row for each example.")
    }
    var table = CSVTable(path: path, columnCount: first.cells.count)
    try table.chooseLabelColumn(header: CSVTable.isHeader(first) ? first : nil, named: label)
    if !CSVTable.isHeader(first) { try table.append(first, from: records.bytes.file) }
    while let record = try records.read() { try table.append(record, from: records.bytes.file) }
    return try table.dataset(name: DatasetSpecification.csv(file: path, label: label).description)
  }
}
