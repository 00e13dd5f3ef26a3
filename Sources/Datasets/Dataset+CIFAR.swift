import Foundation

/// The two data sets of A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009, in their binary
/// versions, https://www.cs.toronto.edu/~kriz/cifar.html: records of one label byte (CIFAR-10) or a coarse and a fine
/// one (CIFAR-100), then 1,024 bytes each of red, green and blue, row by row.
enum CIFAR: Equatable {
  case ten
  case hundred

  var classCount: Int { self == .ten ? 10 : 100 }
  fileprivate var labelBytes: Int { self == .ten ? 1 : 2 }
  /// The folder the archives unpack to.
  fileprivate var folderName: String { self == .ten ? "cifar-10-batches-bin" : "cifar-100-binary" }
  fileprivate var testFile: String { self == .ten ? "test_batch.bin" : "test.bin" }
}

extension Dataset {
  /// A folder of binary records, each file plain or with `.gz`: `data_batch_1.bin`, … (any number of them, in numeric
  /// order) and `test_batch.bin`, or `train.bin` and `test.bin`. Pixels are divided by 255.
  static func cifar(_ kind: CIFAR, folder: String) throws(DatasetError) -> Dataset {
    let inner = "\(folder)/\(kind.folderName)"
    let place = FileManager.default.fileExists(atPath: inner) ? inner : folder
    let names = (try? FileManager.default.contentsOfDirectory(atPath: place)) ?? []
    /// `name` or `name.gz`, whichever is there.
    func path(_ name: String) throws(DatasetError) -> String {
      guard let found = [name, "\(name).gz"].first(where: names.contains) else {
        throw .missing(
          path: place, reason: "holds neither \(name) nor \(name).gz",
          remedy: "Check the folder's path, or unpack the binary version of the data set into it.")
      }
      return "\(place)/\(found)"
    }
    var training: [String] = []
    if kind == .ten {
      let numbers = Set(
        names.compactMap { name -> Int? in
          guard name.hasPrefix("data_batch_") else { return nil }
          let rest = name.dropFirst("data_batch_".count)
          return rest.hasSuffix(".bin") ? Int(rest.dropLast(4)) : rest.hasSuffix(".bin.gz") ? Int(rest.dropLast(7)) : nil
        })
      for number in numbers.isEmpty ? [1] : numbers.sorted() { training.append(try path("data_batch_\(number).bin")) }
    } else {
      training = [try path("train.bin")]
    }
    return try Dataset(
      name: DatasetSpecification.cifar(kind, folder: folder).description,
      training: try examples(kind, files: training), test: try examples(kind, files: [try path(kind.testFile)]))
  }

  private static func examples(_ kind: CIFAR, files: [String]) throws(DatasetError) -> Examples {
    let pixelCount = 32 * 32
    let recordBytes = kind.labelBytes + 3 * pixelCount
    var pixels: [UInt8] = []
    var labels: [Int32] = []
    for path in files {
      var file = try InputFile(path: path)
      let records = try file.readAll()
      guard !records.isEmpty, records.count.isMultiple(of: recordBytes) else {
        throw .damaged(
          path: path, reason: "\(records.count) bytes are not a whole number of records of \(recordBytes) bytes",
          remedy: "Fetch the file again, the binary version.")
      }
      pixels.reserveCapacity(pixels.count + records.count)
      for start in stride(from: 0, to: records.count, by: recordBytes) {
        let label = Int32(records[start + kind.labelBytes - 1])
        guard label < kind.classCount else {
          throw .damaged(
            path: path, place: .index(start / recordBytes),
            reason: "label \(label) is outside 0 to \(kind.classCount - 1)",
            remedy: "Fetch the file again, the binary version.")
        }
        labels.append(label)
        for pixel in 0..<pixelCount {
          for channel in 0..<3 { pixels.append(records[start + kind.labelBytes + channel * pixelCount + pixel]) }
        }
      }
    }
    return try Examples(
      bytes: pixels, dividedBy: 255, exampleShape: [32, 32, 3], labels: labels, classCount: kind.classCount)
  }
}
