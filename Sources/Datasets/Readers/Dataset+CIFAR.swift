import Foundation

/// The two data sets of A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009, in their binary
/// versions, https://www.cs.toronto.edu/~kriz/cifar.html: records of one label byte (CIFAR-10) or a coarse and a fine
/// one (CIFAR-100), then 1,024 bytes each of red, green and blue, row by row.
enum CIFAR: Equatable {
  case ten
  case hundred

  var classCount: Int { self == .ten ? 10 : 100 }
  fileprivate var labelBytes: Int { self == .ten ? 1 : 2 }
  /// The folder that the archives unpack to.
  fileprivate var folderName: String { self == .ten ? "cifar-10-batches-bin" : "cifar-100-binary" }
  fileprivate var testFile: String { self == .ten ? "test_batch.bin" : "test.bin" }
}

extension Dataset {
  /// Reads a folder of binary records, each file plain or with `.gz`: `data_batch_1.bin`, … (any number of them, in
  /// numeric order) and `test_batch.bin`, or `train.bin` and `test.bin`. Pixels are divided by 255.
  static func cifar(_ kind: CIFAR, folder: String) throws(DatasetError) -> Dataset {
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
      training: try examples(kind, files: training.map(path)), test: try examples(kind, files: [try path(kind.testFile)]))
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

  private static func examples(_ kind: CIFAR, files: [String]) throws(DatasetError) -> Examples {
    let pixelCount = 32 * 32
    let recordBytes = kind.labelBytes + 3 * pixelCount
    var pixels: [UInt8] = []
    var labels: [Int32] = []
    for path in files {
      var file = try InputFile(path: path)
      func isNoWholeNumber(_ count: String) -> DatasetError {
        .damaged(
          path: path, reason: "\(count) bytes are not a whole number of records of \(recordBytes) bytes",
          remedy: "Fetch the file again, the binary version.")
      }
      // The size of a plain file is checked before anything is read; that of a compressed file is only known at its
      // end.
      if !file.isCompressed, file.capacity == 0 || !file.capacity.isMultiple(of: recordBytes) {
        throw isNoWholeNumber("\(file.capacity)")
      }
      while true {
        let records = try file.read(upTo: 100 * recordBytes)
        guard records.count.isMultiple(of: recordBytes), file.position > 0 else {
          throw isNoWholeNumber("\(file.position)")
        }
        if records.isEmpty { break }
        try file.requireMemory(toAppend: records.count, to: pixels)
        for start in stride(from: 0, to: records.count, by: recordBytes) {
          let label = Int32(records[start + kind.labelBytes - 1])
          guard label < kind.classCount else {
            throw .damaged(
              path: path, place: .index((file.position - records.count + start) / recordBytes),
              reason: "label \(label) is outside 0 to \(kind.classCount - 1)",
              remedy: "Fetch the file again, the binary version.")
          }
          labels.append(label)
          for pixel in 0..<pixelCount {
            for channel in 0..<3 { pixels.append(records[start + kind.labelBytes + channel * pixelCount + pixel]) }
          }
        }
      }
    }
    return try Examples(
      bytes: pixels, dividedBy: 255, exampleShape: [32, 32, 3], labels: labels, classCount: kind.classCount)
  }
}
