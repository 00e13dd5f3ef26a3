import Foundation

/// The two data sets of A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009, in their binary
/// versions, https://www.cs.toronto.edu/~kriz/cifar.html: records of one label byte (CIFAR-10) or a coarse and a fine
/// one (CIFAR-100), then 1,024 bytes each of red, green and blue, row by row.
enum CIFAR: Equatable {
  case ten
  case hundred

  var classCount: Int { self == .ten ? 10 : 100 }
  fileprivate var labelBytes: Int { self == .ten ? 1 : 2 }
  /// The number of pixels in an image of 32 × 32.
  fileprivate static var pixelCount: Int { 32 * 32 }
  fileprivate var recordBytes: Int { labelBytes + 3 * Self.pixelCount }
  /// The folder that the archives unpack to.
  fileprivate var folderName: String { self == .ten ? "cifar-10-batches-bin" : "cifar-100-binary" }
  fileprivate var testFile: String { self == .ten ? "test_batch.bin" : "test.bin" }
}

extension Dataset {
  /// Reads a folder of binary records, each file plain or with `.gz`: `data_batch_1.bin`, … (any number of them, in
  /// numeric order) and `test_batch.bin`, or `train.bin` and `test.bin`. Pixels are divided by 255.
  static func cifar(_ kind: CIFAR, folder: String, room: inout Int) throws(DatasetError) -> Dataset {
    let inner = "\(folder)/\(kind.folderName)"
    let place = FileManager.default.fileExists(atPath: inner) ? inner : folder
    let names = (try? FileManager.default.contentsOfDirectory(atPath: place)) ?? []
    /// The path of `name` or `name.gz`, whichever exists.
    func path(_ name: String) throws(DatasetError) -> String {
      guard let found = [name, "\(name).gz"].first(where: names.contains) else {
        throw .missing(
          path: place, reason: "holds neither \(name) nor \(name).gz",
          remedy: "Check the folder's path, or unpack the binary version of the data set into it.")
      }
      return "\(place)/\(found)"
    }
    let training = kind == .ten ? try trainingFiles(among: names, in: place) : ["train.bin"]
    return try Dataset(
      name: DatasetSpecification.cifar(kind, folder: folder).description,
      training: try examples(kind, files: training.map(path), room: &room),
      test: try examples(kind, files: [try path(kind.testFile)], room: &room))
  }

  /// The training files of CIFAR-10 in a folder, in the order of their numbers.
  /// - Throws: `DatasetError.damaged` for a file whose name resembles theirs but does not match: whoever put it there
  ///   expects it to be read.
  private static func trainingFiles(among names: [String], in folder: String) throws(DatasetError) -> [String] {
    let stem = "data_batch"
    var numbers: Set<Int> = []
    for name in names.sorted() where name.lowercased().hasPrefix(stem) {
      let parts = name.dropFirst(stem.count).split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
      // The files of the Python version have no suffix and may be in the same folder.
      guard parts.count == 2, parts[1].lowercased().hasPrefix("bin") else { continue }
      guard name.hasPrefix("\(stem)_"), let number = Int(parts[0].dropFirst()), number >= 0, parts[0] == "_\(number)",
        parts[1] == "bin" || parts[1] == "bin.gz"
      else {
        throw .damaged(
          path: "\(folder)/\(name)", reason: "looks like a training file of CIFAR-10, but is not named as one",
          remedy: "Name it data_batch_1.bin or data_batch_1.bin.gz, with its number, or move it away.")
      }
      numbers.insert(number)
    }
    return numbers.isEmpty ? ["\(stem)_1.bin"] : numbers.sorted().map { "\(stem)_\($0).bin" }
  }

  private static func examples(_ kind: CIFAR, files: [String], room: inout Int) throws(DatasetError) -> Examples {
    var size = 0
    var isCompressed = false
    for path in files {
      let file = try InputFile(path: path)
      // The size of a plain file is checked before anything is read; that of a compressed file is only known at its
      // end.
      if !file.isCompressed, file.capacity == 0 || !file.capacity.isMultiple(of: kind.recordBytes) {
        throw kind.isNoWholeNumber(file.capacity, path)
      }
      size += file.capacity
      isCompressed = isCompressed || file.isCompressed
    }
    if !isCompressed, size > room {
      room = 0
      return try storedExamples(kind, files: files)
    }

    var pixels = Collector<UInt8>(path: files[0], room: room)
    var labels: [UInt8] = []
    for path in files {
      try kind.forEachPiece(of: path) { records throws(DatasetError) in
        var piece: [UInt8] = []
        piece.reserveCapacity(records.count)
        for start in stride(from: 0, to: records.count, by: kind.recordBytes) {
          labels.append(records[start + kind.labelBytes - 1])
          for pixel in 0..<CIFAR.pixelCount {
            for channel in 0..<3 { piece.append(records[start + kind.labelBytes + channel * CIFAR.pixelCount + pixel]) }
          }
        }
        try pixels.append(piece)
      }
    }
    switch try pixels.finish(room: &room) {
    case .memory(let pixels):
      return try Examples(
        bytes: pixels, dividedBy: 255, exampleShape: [32, 32, 3], labels: labels.map(Int32.init), classCount: kind.classCount)
    case .file(let file):
      let rows = StoredRows(
        parts: [StoredRows.Part(file: file, offset: 0, count: labels.count)], form: .bytes(divisor: 255, labels: labels),
        featureCount: 3 * CIFAR.pixelCount)
      return Examples(rows: rows, exampleShape: [32, 32, 3], classCount: kind.classCount)
    }
  }

  /// Examples that stay in their files.
  private static func storedExamples(_ kind: CIFAR, files: [String]) throws(DatasetError) -> Examples {
    var parts: [StoredRows.Part] = []
    for path in files {
      let file = try StoredFile(path: path)
      try kind.forEachPiece(of: path) { _ in }
      parts.append(StoredRows.Part(file: file, offset: 0, count: file.size / kind.recordBytes))
    }
    let form = StoredRows.Form.planes(labelBytes: kind.labelBytes, channels: 3, divisor: 255)
    return Examples(
      rows: StoredRows(parts: parts, form: form, featureCount: 3 * CIFAR.pixelCount), exampleShape: [32, 32, 3],
      classCount: kind.classCount)
  }
}

extension CIFAR {
  /// Gives `body` the records of a file, some at a time, once their labels are checked.
  fileprivate func forEachPiece(
    of path: String, _ body: ([UInt8]) throws(DatasetError) -> Void
  ) throws(DatasetError) {
    var file = try InputFile(path: path)
    while true {
      let records = try file.read(upTo: 100 * recordBytes)
      guard records.count.isMultiple(of: recordBytes), file.position > 0 else { throw isNoWholeNumber(file.position, path) }
      if records.isEmpty { return }
      for start in stride(from: 0, to: records.count, by: recordBytes) {
        let label = records[start + labelBytes - 1]
        guard label < classCount else {
          throw .damaged(
            path: path, place: .index((file.position - records.count + start) / recordBytes),
            reason: "label \(label) is outside 0 to \(classCount - 1)", remedy: "Fetch the file again, the binary version.")
        }
      }
      try body(records)
    }
  }

  fileprivate func isNoWholeNumber(_ count: Int, _ path: String) -> DatasetError {
    .damaged(
      path: path, reason: "\(count) bytes are not a whole number of records of \(recordBytes) bytes",
      remedy: "Fetch the file again, the binary version.")
  }
}
