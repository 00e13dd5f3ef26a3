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

  /// The most examples in a batch.
  public static let mostInBatch = 1 << 24
  /// The most indices in all batches together.
  public static let mostIndices = 1 << 30

  /// - Throws: `DatasetError.missing`; `.damaged` with the line where it is not as described.
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

  /// Batches read by other means.
  /// - Parameters:
  ///   - indices: batch after batch; a multiple of `batchSize`, which is at least 1.
  ///   - batchSize: indices a batch.
  ///   - path: where they came from, for messages.
  public init(indices: [UInt32], batchSize: Int, path: String) {
    precondition(batchSize > 0 && indices.count.isMultiple(of: batchSize), "the indices are not whole batches")
    fingerprint = Digest(ofBatches: indices, size: batchSize)
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
}

/// The lines of a file of batches, one after the other.
private struct BatchLines: ~Copyable {
  /// Of the line last read, from 1.
  private(set) var number = 0
  private var bytes: ByteStream
  private var isAtEnd = false

  /// No index takes more digits, and no message shows more of what is none.
  private static let longestWord = 20

  init(path: String) throws(DatasetError) { bytes = try ByteStream(path: path) }

  /// Appends the indices of the next line.
  /// - Returns: How many there are; nil after the last line.
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
