import Tensors

/// Batches read from a text file. Line j is batch j: the indices of its examples, counted from 0 and separated by
/// blanks, tabs or commas. All lines have the same number of indices.
public struct ImportedBatches: Sendable {
  /// The path of the file that the batches came from.
  public let path: String

  /// The number of batches.
  public let count: Int

  /// The number of examples per batch.
  public let batchSize: Int

  /// The digest of the batch size and all indices, but not of the path.
  public let fingerprint: Digest

  /// The indices of all batches, one batch after the other.
  private let indices: [UInt32]

  /// The largest number of examples in a batch.
  public static let mostInBatch = 1 << 24
  /// The largest number of indices in all batches together.
  public static let mostIndices = 1 << 30

  /// - Throws: `DatasetError.missing`, or `.damaged`, naming the line that does not have the described form.
  public static func read(path: String) throws(DatasetError) -> ImportedBatches {
    var lines = try BatchLines(path: path)
    var indices: [UInt32] = []
    var batchSize = 0
    var blankLine: Int?
    while let length = try lines.read(into: &indices) {
      if length == 0 {
        blankLine = blankLine ?? lines.number
        continue
      }
      if let blankLine {
        throw .damaged(path: path, place: .line(blankLine), reason: "the line is empty", remedy: "Remove it.")
      }
      if indices.count == length { batchSize = length }
      guard length == batchSize else {
        throw .damaged(
          path: path, place: .line(lines.number), reason: "\(length) indices, where the first line has \(batchSize)",
          remedy: "Give all batches the same size.")
      }
    }
    guard batchSize > 0 else {
      throw .damaged(path: path, reason: "holds no batches", remedy: "Write the indices of a batch on each line.")
    }
    return ImportedBatches(indices: indices, batchSize: batchSize, path: path)
  }

  /// Makes batches that were read in another way.
  /// - Parameters:
  ///   - indices: The indices, one batch after the other. Their number is a multiple of `batchSize`, which is at
  ///     least 1.
  ///   - path: The source of the batches, for messages.
  public init(indices: [UInt32], batchSize: Int, path: String) {
    precondition(batchSize > 0 && indices.count.isMultiple(of: batchSize), "the indices are not whole batches")
    fingerprint = Digest(ofBatches: indices, size: batchSize)
    self.path = path
    count = indices.count / batchSize
    self.batchSize = batchSize
    self.indices = indices
  }

  /// Checks that the batches have this size and contain only existing examples.
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

  /// Overwrites `indices`, which has `batchSize` elements, with those of batch `batch`, counted from 1.
  func fill(_ indices: inout [Int], batch: Int) {
    let start = (batch - 1) * batchSize
    for row in 0..<batchSize { indices[row] = Int(self.indices[start + row]) }
  }
}

/// Reads a file of batches line by line.
private struct BatchLines: ~Copyable {
  /// The number of the line read last, counted from 1.
  private(set) var number = 0
  private var bytes: ByteStream
  private var isAtEnd = false

  /// The largest number of characters in a word. No index has more digits, and messages show no more.
  private static let longestWord = 20

  init(path: String) throws(DatasetError) { bytes = try ByteStream(path: path) }

  /// Appends the indices of the next line.
  /// - Returns: The number of indices in the line; nil after the last line.
  mutating func read(into indices: inout [UInt32]) throws(DatasetError) -> Int? {
    if isAtEnd { return nil }
    number += 1
    let start = indices.count
    var word: [UInt8] = []
    while true {
      let byte = try bytes.peek()
      if byte != nil { bytes.advance() } else { isAtEnd = true }
      let isLineEnd = byte == nil || byte == UInt8(ascii: "\n")
      if !isLineEnd, let byte, !Self.isSeparator(byte) {
        word.append(byte)
        if word.count > Self.longestWord { throw unreadable(String(decoding: word, as: UTF8.self) + "…") }
        continue
      }
      if !word.isEmpty {
        let text = String(decoding: word, as: UTF8.self)
        guard let index = UInt32(text) else { throw unreadable(text) }
        guard indices.count < ImportedBatches.mostIndices, indices.count - start < ImportedBatches.mostInBatch else {
          throw .impossible(
            """
            \(bytes.file.path), line \(number): more than \(ImportedBatches.mostInBatch) indices in a batch, or than \
            \(ImportedBatches.mostIndices) in all; write fewer or smaller batches
            """)
        }
        try bytes.file.requireMemory(toAppend: 1, to: indices)
        indices.append(index)
        word.removeAll(keepingCapacity: true)
      }
      if isLineEnd { return indices.count - start }
    }
  }

  private func unreadable(_ word: String) -> DatasetError {
    .damaged(
      path: bytes.file.path, place: .line(number), reason: "“\(excerpt(word))” is no index",
      remedy: "Write indices from 0 on, separated by blanks, a line a batch.")
  }

  private static func isSeparator(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "\r")
  }
}
