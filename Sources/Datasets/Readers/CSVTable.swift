import Tensors

/// The rows of a table, which are checked and divided into training and test rows as they are appended.
struct CSVTable: ~Copyable {
  private let path: String
  private let specification: CSVSpecification
  private let columnCount: Int
  private let targets: Targets.Kind
  private var targetColumn: Int
  private var names: [String]?
  private var training: CSVRows
  private var test: CSVRows
  /// The numbers of rows in the data set, and of rows left out because a value is missing.
  private var (rowCount, droppedCount) = (0, 0)

  /// - Parameter room: The largest size in bytes of rows that stay in memory.
  init(_ specification: CSVSpecification, columnCount: Int, targets: Targets.Kind, room: Int) {
    path = specification.file
    self.specification = specification
    self.columnCount = columnCount
    self.targets = targets
    targetColumn = columnCount - 1
    training = CSVRows(path: path, width: columnCount - 1, targets: targets, room: room)
    test = CSVRows(path: path, width: columnCount - 1, targets: targets, room: room)
  }

  /// Whether a record is a header. Numbers and missing values alone are not, so that a gap in the first row of data
  /// is reported as such.
  static func isHeader(_ record: CSVRecords.Record) -> Bool {
    record.cells.contains { !CSVSpecification.isMissing($0) && Double($0) == nil }
  }

  mutating func chooseTargetColumn(header: CSVRecords.Record?) throws(DatasetError) {
    guard columnCount > 1 else {
      throw .damaged(
        path: path, place: .line(1), reason: "the table has a single column",
        remedy: "Give it features and a target, separated by commas.")
    }
    guard let header else {
      guard let name = specification.column else { return }
      throw .damaged(
        path: path, place: .line(1), reason: "there is no header to look for “\(name)” in",
        remedy: "Leave the column's name out to use the last column, or add a line of column names.")
    }
    names = header.cells
    let usual = ["label", "class", "target", "y"]
    let wanted = specification.column.map { [$0.lowercased()] } ?? usual
    let found = header.cells.indices.filter { wanted.contains(header.cells[$0].lowercased()) }
    if found.count > 1 {
      let names = excerpt(found.map { header.cells[$0] }.joined(separator: ", "))
      throw .damaged(
        path: path, place: .line(header.line), reason: "several columns could be the target: \(names)",
        remedy: "Name one with `,target=COLUMN`, or rename the others.")
    }
    if let column = found.first {
      targetColumn = column
    } else if let name = specification.column {
      throw .damaged(
        path: path, place: .line(header.line), reason: "no column is named “\(name)”",
        remedy: "The columns are: \(excerpt(header.cells.joined(separator: ", "), length: 1000)).")
    }
  }

  mutating func append(_ record: CSVRecords.Record) throws(DatasetError) {
    guard record.cells.count == columnCount else {
      throw .damaged(
        path: path, place: .line(record.line),
        reason: "\(record.cells.count) cells, where the first row has \(columnCount)",
        remedy: "Give each row as many cells as the first.")
    }
    if let column = record.cells.firstIndex(where: CSVSpecification.isMissing) {
      switch specification.missing {
      case .drop:
        droppedCount += 1
        return
      case .mean:
        guard CSVSpecification.isMissing(record.cells[targetColumn]) else { break }
        throw problem(
          record, targetColumn, "is no target, and no mean can stand in for it",
          remedy: "Fill it in, remove the row, or leave out all rows with gaps with `,missing=drop`.")
      case nil:
        throw problem(
          record, column, "is no value",
          remedy: "Fill it in, leave such rows out with `,missing=drop`, or put the column's mean there with `,missing=mean`.")
      }
    }
    // The features, then the target: if it is a class, its bits.
    var row: [Float] = []
    row.reserveCapacity(columnCount)
    var target: Float = 0
    for (column, cell) in record.cells.enumerated() {
      if column != targetColumn {
        row.append(CSVSpecification.isMissing(cell) ? .nan : try number(cell, record, column))
      } else if targets == .values {
        target = try number(cell, record, column)
      } else {
        guard let label = Double(cell).flatMap(Int32.init(exactly:)), label >= 0 else {
          throw problem(
            record, column, "is no class",
            remedy: "Number the classes 0, 1, 2, …, name another column with `,target=COLUMN`, or take a loss for real values.")
        }
        target = Float(bitPattern: UInt32(bitPattern: label))
      }
    }
    row.append(target)
    if Dataset.isTest(rowCount) { try test.append(row) } else { try training.append(row) }
    rowCount += 1
  }

  private func number(_ cell: String, _ record: CSVRecords.Record, _ column: Int) throws(DatasetError) -> Float {
    guard let number = Float(cell), number.isFinite else {
      throw problem(record, column, "is no finite float32 number", remedy: "Replace it, or remove the row.")
    }
    return number
  }

  private func problem(_ record: CSVRecords.Record, _ column: Int, _ reason: String, remedy: String) -> DatasetError {
    let cell = record.cells[column]
    let content = cell.isEmpty ? "an empty cell" : "“\(excerpt(cell))”"
    return .damaged(
      path: path, place: .line(record.line, column: column + 1), reason: "\(content) \(reason)", remedy: remedy)
  }

  /// - Parameter room: The largest size in bytes of rows that stay in memory.
  mutating func dataset(name: String, room: inout Int) throws(DatasetError) -> Dataset {
    guard training.count >= 2 else {
      let dropped = droppedCount > 0 ? ", besides \(droppedCount) with missing values," : ""
      throw .damaged(
        path: path, reason: "\(rowCount) rows\(dropped) are too few to train and to test on",
        remedy: "Name a file of 3 rows or more.")
    }
    let means = specification.missing == .mean ? try means() : nil
    let classCount = targets == .classes ? try classCount() : nil
    return try Dataset(
      name: name, training: training.examples(classCount: classCount, means: means, room: &room),
      test: test.examples(classCount: classCount, means: means, room: &room))
  }

  /// The mean of each column of features over the training rows, which takes the place of missing values.
  private func means() throws(DatasetError) -> [Float] {
    if let empty = training.valueCounts.firstIndex(of: 0) {
      let column = empty < targetColumn ? empty : empty + 1
      let name = names.map { ", “\(excerpt($0[column]))”," } ?? ""
      throw .damaged(
        path: path, reason: "column \(column + 1)\(name) has no value in any row to train on, and so no mean",
        remedy: "Remove the column.")
    }
    return zip(training.sums, training.valueCounts).map { Float($0 / Double($1)) }
  }

  /// The number of classes: one more than the largest label. Every label up to it must occur.
  private func classCount() throws(DatasetError) -> Int {
    let labels = training.labels.union(test.labels)
    let largest = labels.max() ?? 0
    guard largest > 0 else {
      throw .damaged(
        path: path, reason: "every row has label 0",
        remedy: "Give at least two classes, or name another column with `,target=COLUMN`.")
    }
    // If the labels have a gap, one of the first `labels.count` numbers is missing.
    if let absent = (0..<Int32(labels.count)).first(where: { !labels.contains($0) }) {
      throw .damaged(
        path: path, reason: "no row has label \(absent), though labels go up to \(largest)",
        remedy: """
          Number the classes 0, 1, 2, … without a gap, name another column with `,target=COLUMN`, or take a loss for real values.
          """)
    }
    return labels.count
  }
}
