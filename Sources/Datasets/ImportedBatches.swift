import Tensors

/// Batches read from a text file: a line a batch, each the indices of its examples, counted from 0 and separated by
/// blanks, tabs or commas; all lines of equal length. Line j is batch j.
public struct ImportedBatches: Sendable {
  /// The file they came from.
  public let path: String

  /// How many batches there are.
  public let count: Int

  /// Examples in each batch.
  public let batchSize: Int

  /// The digest of the batch size and all indices, not of the path.
  public let fingerprint: Digest

  /// Batch after batch.
  private let indices: [UInt32]

  /// - Throws: `DatasetError.missing`; `.damaged` with the line where it is not as described.
  public static func read(path: String) throws(DatasetError) -> ImportedBatches {
    var file = try InputFile(path: path)
    return try ImportedBatches(parsing: try file.readAll(), path: path)
  }

  private init(parsing text: [UInt8], path: String) throws(DatasetError) {
    var indices: [UInt32] = []
    var batchSize = 0
    var count = 0
    var blankLine: Int?
    for (number, line) in zip(1..., text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)) {
      let start = indices.count
      for word in line.split(whereSeparator: Self.isSeparator) {
        guard let index = UInt32(String(decoding: word, as: UTF8.self)) else {
          throw .damaged(
            path: path, place: .line(number), reason: "“\(String(decoding: word, as: UTF8.self))” is no index",
            remedy: "Write indices from 0 on, separated by blanks, a line a batch.")
        }
        indices.append(index)
      }
      let length = indices.count - start
      if length == 0 {
        blankLine = blankLine ?? number
        continue
      }
      if let blankLine {
        throw .damaged(path: path, place: .line(blankLine), reason: "the line is empty", remedy: "Remove it.")
      }
      if count == 0 { batchSize = length }
      guard length == batchSize else {
        throw .damaged(
          path: path, place: .line(number), reason: "\(length) indices, where the first line has \(batchSize)",
          remedy: "Give all batches the same size.")
      }
      count += 1
    }
    guard count > 0 else {
      throw .damaged(path: path, reason: "holds no batches", remedy: "Write the indices of a batch on each line.")
    }
    self.init(indices: indices, batchSize: batchSize, path: path)
  }

  /// Batches read by other means.
  /// - Parameters:
  ///   - indices: batch after batch; a multiple of `batchSize`, which is at least 1.
  ///   - path: where they came from, for messages.
  public init(indices: [UInt32], batchSize: Int, path: String) {
    precondition(batchSize > 0 && indices.count.isMultiple(of: batchSize), "the indices are not whole batches")
    var builder = DigestBuilder()
    builder.add(batchSize)
    builder.add(indices.span.bytes)
    fingerprint = builder.digest
    self.path = path
    count = indices.count / batchSize
    self.batchSize = batchSize
    self.indices = indices
  }

  /// Checks that the batches have this size and name only examples that are there.
  func check(exampleCount: Int, batchSize: Int) throws(DatasetError) {
    guard batchSize == self.batchSize else {
      throw .impossible("batches of \(batchSize) are asked for, but those of \(path) hold \(self.batchSize)")
    }
    if let position = indices.firstIndex(where: { Int($0) >= exampleCount }) {
      throw .damaged(
        path: path, place: .line(position / batchSize + 1),
        reason: "index \(indices[position]) is outside a data set of \(exampleCount)",
        remedy: "Count indices from 0, and use the file with the data it was made for.")
    }
  }

  /// Overwrites `indices`, of length `batchSize`, with those of batch `batch`, counted from 1.
  func fill(_ indices: inout [Int], batch: Int) {
    let start = (batch - 1) * batchSize
    for row in 0..<batchSize { indices[row] = Int(self.indices[start + row]) }
  }

  private static func isSeparator(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "\r")
  }
}
