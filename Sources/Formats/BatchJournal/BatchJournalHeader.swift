import Foundation
import Tensors

/// The description of the batches in a journal: the data they belong to and where they come from.
public struct BatchJournalHeader: Hashable, Sendable {
  public enum Content: Hashable, Sendable {
    /// The batches follow from a sampler's name and the seeds, so none is stored.
    case seeded(sampler: String, seeds: Range<Int>)
    /// The batches came from elsewhere, and all are stored.
    case imported
  }

  public let content: Content

  /// The digest of the data set that the indices refer to.
  public let dataFingerprint: Digest

  /// The number of examples in the data set. All indices are below it.
  public let exampleCount: Int

  /// The number of examples per batch.
  public let batchSize: Int

  public init(content: Content, dataFingerprint: Digest, exampleCount: Int, batchSize: Int) {
    self.content = content
    self.dataFingerprint = dataFingerprint
    self.exampleCount = exampleCount
    self.batchSize = batchSize
  }
}

extension BatchJournalHeader {
  /// The layout of the packed batches; nil if none are stored.
  var layout: BatchLayout? {
    content == .imported ? BatchLayout(exampleCount: exampleCount, batchSize: batchSize) : nil
  }
}

// MARK: - On disk

extension BatchJournalHeader {
  /// The content of the journal's first frame: one line of JSON in UTF-8, with its keys in alphabetical order.
  /// Journals of imported batches have the key `indexBits`, the others `sampler`, `firstSeed` and `seedCount`.
  private struct Line: Codable {
    static let format = "backtrail batches"
    static let version = 1

    var format: String
    var version: Int
    var dataFingerprint: Digest
    var exampleCount: Int
    var batchSize: Int
    var indexBits: Int?
    var sampler: String?
    var firstSeed: Int?
    var seedCount: Int?
  }

  /// The keys that every version has.
  private struct Preamble: Codable {
    var format: String
    var version: Int
  }

  /// The largest size of a header in bytes.
  static let maximumSize = 4096

  /// - Throws: `StorageError.cannotCreate` if no journal can have this header.
  func encoded(path: String) throws(StorageError) -> [UInt8] {
    var line = Line(
      format: Line.format, version: Line.version, dataFingerprint: dataFingerprint, exampleCount: exampleCount,
      batchSize: batchSize)
    switch content {
    case .seeded(let sampler, let seeds):
      (line.sampler, line.firstSeed, line.seedCount) = (sampler, seeds.lowerBound, seeds.count)
    case .imported:
      guard let layout else {
        throw .cannotCreate(path: path, reason: "it can't hold batches of \(batchSize) from \(exampleCount) examples")
      }
      line.indexBits = layout.indexBits
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    do {
      let bytes = Array(try encoder.encode(line)) + [UInt8(ascii: "\n")]
      guard bytes.count <= Self.maximumSize else {
        throw StorageError.cannotCreate(path: path, reason: "the sampler's name is too long")
      }
      return bytes
    } catch {
      throw error as? StorageError ?? .cannotCreate(path: path, reason: reason(error))
    }
  }

  /// - Throws: `StorageError.damaged` if the bytes are not a valid header.
  init(decoding bytes: [UInt8], path: String) throws(StorageError) {
    let decoder = JSONDecoder()
    guard let preamble = try? decoder.decode(Preamble.self, from: Data(bytes)), preamble.format == Line.format else {
      throw .damaged(path: path, reason: "frame 0 is not the header of a batch journal")
    }
    guard preamble.version == Line.version else {
      throw .damaged(
        path: path,
        reason: "it is a batch journal of version \(preamble.version); version \(Line.version) is understood")
    }
    guard let line = try? decoder.decode(Line.self, from: Data(bytes)), let content = Self.content(of: line) else {
      throw .damaged(path: path, reason: "frame 0, the header, contradicts itself")
    }
    self.init(
      content: content, dataFingerprint: line.dataFingerprint, exampleCount: line.exampleCount,
      batchSize: line.batchSize)
  }

  private static func content(of line: Line) -> Content? {
    guard line.exampleCount > 0, line.batchSize > 0 else { return nil }
    if let sampler = line.sampler {
      guard let first = line.firstSeed, let count = line.seedCount, count >= 0 else { return nil }
      let (end, overflow) = first.addingReportingOverflow(count)
      return overflow ? nil : .seeded(sampler: sampler, seeds: first..<end)
    }
    guard let layout = BatchLayout(exampleCount: line.exampleCount, batchSize: line.batchSize) else { return nil }
    return layout.indexBits == line.indexBits ? .imported : nil
  }
}
