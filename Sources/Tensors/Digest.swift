import CXXHash

/// A 128-bit hash (XXH3) of bytes: equal digests mean equal bytes. It guards against accidents, not against forgery.
public struct Digest: Hashable, Sendable, Codable, CustomStringConvertible {
  public let high: UInt64
  public let low: UInt64

  /// 32 hexadecimal digits, as `xxhsum -H2` prints them.
  public var description: String { Self.hex(high) + Self.hex(low) }

  private static func hex(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Reads what `description` gives; nil for any other text.
  public init?(_ text: String) {
    let isHexadecimal = text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0 }
    guard text.utf8.count == 32, isHexadecimal, let high = UInt64(text.prefix(16), radix: 16),
      let low = UInt64(text.suffix(16), radix: 16)
    else { return nil }
    self.init(high: high, low: low)
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let digest = Digest(text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a digest: \(text)")
    }
    self = digest
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
}

/// Hashes bytes piece by piece.
public struct DigestBuilder: ~Copyable {
  private let state: OpaquePointer

  public init() {
    // Fails only where malloc does, for the 576 bytes of a hash state.
    state = XXH3_createState()!
    XXH3_128bits_reset(state)
  }

  deinit { XXH3_freeState(state) }

  public mutating func add(_ bytes: RawSpan) {
    bytes.withUnsafeBytes { _ = xxh3_update(state, $0.baseAddress, $0.count) }
  }

  /// Adds the 8 bytes of `number`, least significant first.
  public mutating func add(_ number: Int) {
    withUnsafeBytes(of: Int64(number).littleEndian) { _ = xxh3_update(state, $0.baseAddress, $0.count) }
  }

  /// Adds the length of `text` and its UTF-8 bytes.
  public mutating func add(_ text: String) {
    add(text.utf8.count)
    add(Array(text.utf8).span.bytes)
  }

  /// Adds the floats of a buffer, from first to last.
  mutating func add(_ values: borrowing FloatBuffer) throws(PagingError) {
    let base = values.base
    try FloatBuffer.forEachPart(of: values.whole, in: [values.paged(.read)]) { part in
      _ = xxh3_update(state, base + part.offset, part.count * MemoryLayout<Float>.stride)
    }
  }

  public var digest: Digest {
    let hash = XXH3_128bits_digest(state)
    return Digest(high: hash.high64, low: hash.low64)
  }
}

extension Digest {
  public init(of bytes: RawSpan) {
    var builder = DigestBuilder()
    builder.add(bytes)
    self = builder.digest
  }

  /// The digest of a buffer's floats.
  public init(of values: borrowing FloatBuffer) throws(PagingError) {
    var builder = DigestBuilder()
    try builder.add(values)
    self = builder.digest
  }

  /// The digest of a training state: its floats, then its update count.
  public init(of state: borrowing StateBuffer, updateCount: Int) throws(PagingError) {
    var builder = DigestBuilder()
    try builder.add(state)
    builder.add(updateCount)
    self = builder.digest
  }

  /// The digest of batches of example indices: their size, then index after index.
  public init(ofBatches indices: [UInt32], size: Int) {
    var builder = DigestBuilder()
    builder.add(size)
    builder.add(indices.span.bytes)
    self = builder.digest
  }
}
