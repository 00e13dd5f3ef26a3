/// How fast a file of pages is read and written, in bytes a second.
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
    let (part, parts) = (Region(offset: 0, count: 4 << 20), 4)
    var buffer = try FloatBuffer(count: part.count * parts, pagedIn: folder)
    var (read, write) = (Duration.zero, Duration.zero)
    let floats = buffer.mutableVector
    guard let pager = buffer.pager else { return .guessed }
    for round in 0..<2 {
      for index in 0..<parts {
        let region = Region(offset: index * part.count, count: part.count)
        let begin = ContinuousClock.now
        pager.fetch([region], overwriting: round == 0)
        try pager.wait(for: [region])
        if round == 1 { read += .now - begin }
        if round == 0 { floats.part(region).fill(Float(index + 1)) }
        let end = ContinuousClock.now
        try pager.release([region], changed: round == 0)
        try pager.flush()
        if round == 0 { write += .now - end }
      }
    }
    let bytes = Double(buffer.count * MemoryLayout<Float>.stride)
    return PagingRates(read: bytes / (read / .seconds(1)), write: bytes / (write / .seconds(1)))
  }
}
