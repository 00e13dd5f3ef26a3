import Tensors

/// The rows of a table, checked and parted into training and test rows as they are appended.
struct CSVTable {
  private let path: String
  private let columnCount: Int
  private var labelColumn: Int
  private var training = Rows()
  private var test = Rows()
  private var rowCount = 0

  init(path: String, columnCount: Int) {
    self.path = path
    self.columnCount = columnCount
    labelColumn = columnCount - 1
  }

  /// Numbers and empty cells alone make no header: an empty cell in the first row of data is found out as such.
  static func isHeader(_ record: CSVRecords.Record) -> Bool {
    record.cells.contains { !$0.isEmpty && Double($0) == nil }
  }

  /// - Parameter name: the heading to look for; nil for the usual ones.
  mutating func chooseLabelColumn(header: CSVRecords.Record?, named name: String?) throws(DatasetError) {
    guard columnCount > 1 else {
      throw .damaged(
        path: path, place: .line(1), reason: "the table has a single column",
        remedy: "Give it features and a label, separated by commas.")
    }
    guard let header else {
      guard let name else { return }
      throw .damaged(
        path: path, place: .line(1), reason: "there is no header to look for “\(name)” in",
        remedy: "Leave `label=` out to use the last column, or add a line of column names.")
    }
    let usual = ["label", "class", "target", "y"]
    let wanted = name.map { [$0.lowercased()] } ?? usual
    let found = header.cells.indices.filter { wanted.contains(header.cells[$0].lowercased()) }
    if found.count > 1 {
      let names = excerpt(found.map { header.cells[$0] }.joined(separator: ", "))
      throw .damaged(
        path: path, place: .line(header.line), reason: "several columns could be the label: \(names)",
        remedy: "Name one with `,label=COLUMN`, or rename the others.")
    }
    if let column = found.first {
      labelColumn = column
    } else if let name {
      throw .damaged(
        path: path, place: .line(header.line), reason: "no column is named “\(name)”",
        remedy: "The columns are: \(excerpt(header.cells.joined(separator: ", "), length: 1000)).")
    }
  }

  /// - Parameter file: what the record comes from, which is asked for memory.
  mutating func append(_ record: CSVRecords.Record, from file: borrowing InputFile) throws(DatasetError) {
    guard record.cells.count == columnCount else {
      throw .damaged(
        path: path, place: .line(record.line),
        reason: "\(record.cells.count) cells, where the first row has \(columnCount)",
        remedy: "Give each row as many cells as the first.")
    }
    if Dataset.isTest(rowCount) {
      try test.append(record, labelColumn: labelColumn, from: file)
    } else {
      try training.append(record, labelColumn: labelColumn, from: file)
    }
    rowCount += 1
  }

  func dataset(name: String) throws(DatasetError) -> Dataset {
    guard training.labels.count >= 2 else {
      throw .damaged(
        path: path, reason: "\(rowCount) rows are too few to train and to test on",
        remedy: "Name a file of 3 rows or more.")
    }
    let classCount = try classCount()
    let shape = [columnCount - 1]
    return try Dataset(
      name: name,
      training: Examples(
        floats: training.features, exampleShape: shape, labels: training.labels, classCount: classCount),
      test: Examples(floats: test.features, exampleShape: shape, labels: test.labels, classCount: classCount))
  }

  /// One more than the largest label, once every label up to it has been seen.
  private func classCount() throws(DatasetError) -> Int {
    let labels = Set(training.labels).union(test.labels)
    let largest = labels.max() ?? 0
    guard largest > 0 else {
      throw .damaged(
        path: path, reason: "every row has label 0",
        remedy: "Give at least two classes, or name another column with `,label=COLUMN`.")
    }
    // Among as many numbers from 0 on as there are labels, one is missing unless they have no gap.
    if let absent = (0..<Int32(labels.count)).first(where: { !labels.contains($0) }) {
      throw .damaged(
        path: path, reason: "no row has label \(absent), though labels go up to \(largest)",
        remedy: "Number the classes 0, 1, 2, … without a gap, or name another column with `,label=COLUMN`.")
    }
    return labels.count
  }
}

extension CSVTable {
  /// The rows of one split.
  fileprivate struct Rows {
    var features: [Float] = []
    var labels: [Int32] = []

    mutating func append(
      _ record: CSVRecords.Record, labelColumn: Int, from file: borrowing InputFile
    ) throws(DatasetError) {
      let path = file.path
      try file.requireMemory(toAppend: record.cells.count, to: features)
      try file.requireMemory(toAppend: 1, to: labels)
      for (column, cell) in record.cells.enumerated() {
        func damaged(_ reason: String, remedy: String) -> DatasetError {
          let content = cell.isEmpty ? "an empty cell" : "“\(excerpt(cell))”"
          return .damaged(
            path: path, place: .line(record.line, column: column + 1), reason: "\(content) \(reason)", remedy: remedy)
        }
        if column == labelColumn {
          guard let label = Double(cell).flatMap(Int32.init(exactly:)), label >= 0 else {
            throw damaged(
              "is no class", remedy: "Number the classes 0, 1, 2, …, or name another column with `,label=COLUMN`.")
          }
          labels.append(label)
        } else {
          guard let feature = Float(cell), feature.isFinite else {
            throw damaged("is no finite float32 number", remedy: "Replace it, or remove the row.")
          }
          features.append(feature)
        }
      }
    }
  }
}
