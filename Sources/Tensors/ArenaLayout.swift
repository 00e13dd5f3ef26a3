/// A range of floats inside a buffer.
public struct Region: Hashable, Sendable {
  /// Where it starts, in floats.
  public let offset: Int
  /// How many floats it holds.
  public let count: Int

  public init(offset: Int, count: Int) {
    self.offset = offset
    self.count = count
  }

  public var end: Int { offset + count }
}

/// Gives out aligned regions of a buffer that is allocated later, in one piece.
///
///     var layout = ArenaLayout()
///     let activations = layout.reserve(32 * 128)
///     let logits = layout.reserve(32 * 10)
///     var arena = try FloatBuffer(count: layout.count)
public struct ArenaLayout: Sendable {
  /// The floats needed so far, padding included.
  public private(set) var count = 0

  public init() {}

  /// Reserves `size` floats. The next region starts at a multiple of `FloatBuffer.alignment`; the padding between
  /// stays zero.
  public mutating func reserve(_ size: Int) -> Region {
    let region = Region(offset: count, count: size)
    let alignment = FloatBuffer.alignment
    count += (size + alignment - 1) / alignment * alignment
    return region
  }
}
