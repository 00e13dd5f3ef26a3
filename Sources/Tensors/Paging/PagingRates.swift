/// How fast a file of pages is read and written at the same time, in bytes a second.
public struct PagingRates: Sendable {
  public let read: Double
  public let write: Double

  public init(read: Double, write: Double) {
    self.read = read
    self.write = write
  }

  /// A solid-state disk of the present, for plans that measure nothing.
  public static let guessed = PagingRates(read: 2e9, write: 1e9)
}

extension Pager {
  /// How fast states in `folder` are read and written, which takes a fraction of a second.
  /// - Throws: `PagingError`.
  public static func measuredRates(in folder: String) throws(PagingError) -> PagingRates {
    let part = Region(offset: 0, count: 2 << 20)
    let parts = (0..<8).map { Region(offset: $0 * part.count, count: part.count) }
    var buffer = try FloatBuffer(count: part.count * parts.count, pagedIn: folder)
    let floats = buffer.mutableVector
    guard let pager = buffer.pager else { return .guessed }
    for region in parts {
      pager.fetch([region], overwriting: true)
      try pager.wait(for: [region])
      floats.part(region).fill(1)
      try pager.release([region], changed: true)
    }
    try pager.flush()
    let begin = ContinuousClock.now
    pager.fetch([part])
    for (index, region) in parts.enumerated() {
      if index + 1 < parts.count { pager.fetch([parts[index + 1]]) }
      try pager.wait(for: [region])
      try pager.release([region], changed: true)
    }
    let read = ContinuousClock.now - begin
    try pager.flush()
    let bytes = Double(buffer.count * MemoryLayout<Float>.stride)
    return PagingRates(read: bytes / (read / .seconds(1)), write: bytes / ((.now - begin) / .seconds(1)))
  }
}
