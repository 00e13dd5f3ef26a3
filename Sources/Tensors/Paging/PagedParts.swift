/// What an operation on a whole buffer does with its parts.
package enum PartUse {
  case read
  case change
  /// Every float is written and none is read.
  case overwrite
}

/// A paged buffer in an operation on whole buffers.
package struct PagedUse: Sendable {
  fileprivate let pager: Pager
  fileprivate let use: PartUse
}

extension FloatBuffer {
  /// The longest part of `count` floats that operations on whole paged buffers bring in at once: whole pages of a 32nd of them, up to
  /// 1 MiB, so that what is on its way is little beside what stays.
  package static func partLength(of count: Int) -> Int {
    let page = Pager.pageBytes / MemoryLayout<Float>.stride
    return min(1 << 18, max(1, (count / 32 + page - 1) / page) * page)
  }
  /// How many parts are on their way in while one is worked on, so that the disk need not wait to be asked for the next.
  package static let partsAhead = 2

  /// The buffer's use in `forEachPart`; nil if it is all in memory.
  package func paged(_ use: PartUse) -> PagedUse? { pager.map { PagedUse(pager: $0, use: use) } }

  /// Calls `body` with one part after the other, while all `buffers` hold it; the next ones are on their way in meanwhile.
  /// - Parameters:
  ///   - buffers: Those that are paged; nil stands for one in memory.
  ///   - rethrow: What an error of a pager becomes.
  package static func forEachPart<Failure: Error>(
    _ parts: [Region], in buffers: [PagedUse?], rethrow: (PagingError) -> Failure, _ body: (Region) throws(Failure) -> Void
  ) throws(Failure) {
    let buffers = buffers.compactMap(\.self)
    func fetch(_ part: Region) { for buffer in buffers { buffer.pager.fetch([part], overwriting: buffer.use == .overwrite) } }
    /// - Returns: The first error.
    func release(_ part: Region) -> PagingError? {
      var failure: PagingError?
      for buffer in buffers {
        do throws(PagingError) {
          try buffer.pager.release([part], changed: buffer.use != .read)
        } catch {
          failure = failure ?? error
        }
      }
      return failure
    }
    for part in parts.prefix(partsAhead) { fetch(part) }
    for (index, part) in parts.enumerated() {
      let ahead = parts[(index + 1)...].prefix(partsAhead)
      if ahead.count == partsAhead, let last = ahead.last { fetch(last) }
      do throws(Failure) {
        for buffer in buffers {
          do throws(PagingError) { try buffer.pager.wait(for: [part]) } catch { throw rethrow(error) }
        }
        try body(part)
      } catch {
        for part in [part] + ahead { _ = release(part) }
        throw error
      }
      if let failure = release(part) {
        for part in ahead { _ = release(part) }
        throw rethrow(failure)
      }
    }
  }

  /// Consecutive parts of `region`, of as many floats but for the last; the whole of it where none of the buffers is paged.
  package static func parts(of region: Region, in buffers: [PagedUse?]) -> [Region] {
    guard buffers.contains(where: { $0 != nil }) else { return [region] }
    let length = partLength(of: region.count)
    return stride(from: region.offset, to: region.end, by: length).map { Region(offset: $0, count: min(length, region.end - $0)) }
  }

  /// Calls `body` with one part of `region` after the other, for operations inside this module.
  static func forEachPart(
    of region: Region, in buffers: [PagedUse?], _ body: (Region) throws(PagingError) -> Void
  ) throws(PagingError) {
    try forEachPart(parts(of: region, in: buffers), in: buffers, rethrow: { $0 }, body)
  }

  /// Calls `body` with one part of `region` after the other, and its floats. Where all floats are in memory there is one part.
  /// - Parameter region: nil for the whole buffer.
  public func forEachPart(of region: Region? = nil, _ body: (_ part: Region, _ floats: Vector) throws -> Void) throws {
    let (vector, uses) = (vector, [paged(.read)])
    try Self.forEachPart(Self.parts(of: region ?? whole, in: uses), in: uses, rethrow: { $0 as any Error }) { part in
      try body(part, vector.part(part))
    }
  }

  /// Calls `body` with one part of `region` after the other, and its floats, to change them.
  /// - Parameters:
  ///   - region: nil for the whole buffer.
  ///   - overwriting: Whether `body` writes every float and reads none, so that none need be read from a file.
  public mutating func forEachMutablePart(
    of region: Region? = nil, overwriting: Bool = false, _ body: (_ part: Region, _ floats: MutableVector) throws -> Void
  ) throws {
    let (vector, uses) = (mutableVector, [paged(overwriting ? .overwrite : .change)])
    try Self.forEachPart(Self.parts(of: region ?? whole, in: uses), in: uses, rethrow: { $0 as any Error }) { part in
      try body(part, vector.part(part))
    }
  }

  /// Calls `body` with the floats of `region`, all of them in memory.
  public func withPart<Result>(_ region: Region, _ body: (Vector) throws -> Result) throws -> Result {
    guard let pager else { return try body(vector.part(region)) }
    pager.fetch([region])
    let result: Result
    do {
      try pager.wait(for: [region])
      result = try body(vector.part(region))
    } catch {
      try? pager.release([region], changed: false)
      throw error
    }
    try pager.release([region], changed: false)
    return result
  }

  /// Calls `body` with the floats of `region`, all of them in memory, to change them.
  /// - Parameter overwriting: Whether `body` writes every float and reads none.
  public mutating func withMutablePart<Result>(
    _ region: Region, overwriting: Bool = false, _ body: (MutableVector) throws -> Result
  ) throws -> Result {
    let vector = mutableVector.part(region)
    guard let pager else { return try body(vector) }
    pager.fetch([region], overwriting: overwriting)
    let result: Result
    do {
      try pager.wait(for: [region])
      result = try body(vector)
    } catch {
      try? pager.release([region], changed: true)
      throw error
    }
    try pager.release([region], changed: true)
    return result
  }

  /// All floats.
  package var whole: Region { Region(offset: 0, count: count) }
}
