import Synchronization

/// Brings the floats of one buffer from a file into memory and back, while others compute.
///
///     pager.fetch([next])
///     try pager.wait(for: [current])
///     // … work on state.mutableVector.part(current) …
///     try pager.release([current], changed: true)
///
/// Memory and file are divided into pages of `pageBytes`. A page is in memory as long as somebody holds a region that has floats of
/// it, so that regions may share pages at their seams. One thread brings pages in and another takes them out, each in the order in
/// which it was asked, and at the same time; but there is never memory for more pages than have been held at once. So what comes in
/// waits for what leaves, and who computes faster than the disk reads and writes waits in `wait`. The memory of pages that have left
/// goes to those that come in, and back to the system when nothing has happened for a quarter of a second.
///
/// Pages that were never written are zeros and are not read. All others are compared with the digest of what was written.
/// After the first error every `wait`, `release` and `flush` throws it, and the floats of the buffer must not be used any more.
///
/// Several threads may call a pager. That only one of them changes a region at a time, and nobody reads it meanwhile, follows from
/// the exclusive access to the buffer that `mutableVector` needs.
public final class Pager: Sendable {
  /// Hashing a page and looking after it cost little beside moving it, and seams of regions cost little memory. Requests are for as
  /// many adjacent pages as there are, since disks are slow page by page.
  public static let pageBytes = 64 << 10
  private static let pageLength = pageBytes / MemoryLayout<Float>.stride

  /// Where the file is.
  public let folder: String
  private let store: PageStore
  /// Whether `keep` was called.
  private let isKeeping = Atomic<Bool>(false)

  /// - Parameters:
  ///   - count: The length of the buffer in floats.
  ///   - folder: Where the file is made.
  init(count: Int, folder: String) throws(PagingError) {
    let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
    let (rounded, isTooLong) = bytes.addingReportingOverflow(Self.pageBytes - 1)
    guard !overflow, !isTooLong, let memory = PageMemory(byteCount: rounded / Self.pageBytes * Self.pageBytes) else {
      throw .cannotMake(folder: folder, reason: "the process may not have addresses for \(count) floats")
    }
    let file = try PageFile(in: folder, byteCount: memory.byteCount)
    self.folder = folder
    store = PageStore(memory: memory, file: file, folder: folder)
    store.begin()
  }

  deinit { store.end() }

  var base: UnsafeMutablePointer<Float> { store.memory.base.assumingMemoryBound(to: Float.self) }

  /// Begins to bring regions of the buffer into memory, and holds them until they are released as often as they were fetched.
  /// - Parameter overwriting: Whether all floats of the regions will be written and none read. What they were need not be read
  ///   then; they may be anything until they are written, and count as changed.
  public func fetch(_ regions: [Region], overwriting: Bool = false) {
    let ranges = Self.pages(of: regions)
    guard !ranges.isEmpty else { return }
    let overwritten = overwriting ? regions.compactMap(Self.pagesWithin) : []
    store.table.withLock { $0.fetch(ranges, overwritten: overwritten) }
  }

  /// Brings regions into memory and holds them for as long as the buffer lives. Only the first call does something.
  public func keep(_ regions: [Region]) {
    guard !isKeeping.exchange(true, ordering: .relaxed) else { return }
    fetch(regions)
  }

  /// Returns when regions that were fetched are in memory.
  /// - Throws: The first error of the pager.
  public func wait(for regions: [Region]) throws(PagingError) {
    let ranges = Self.pages(of: regions)
    try store.wait { $0.areReady(ranges) }
  }

  /// Gives up regions that were fetched. What nobody holds any more leaves memory, written to the file if it has changed.
  /// - Parameter changed: Whether floats of the regions may have been written since they were fetched.
  /// - Throws: The first error of the pager. The regions are released even so.
  public func release(_ regions: [Region], changed: Bool) throws(PagingError) {
    let ranges = Self.pages(of: regions)
    guard !ranges.isEmpty else { return }
    store.table.withLock { $0.release(ranges, isChanged: changed) }
    try store.check()
  }

  /// Returns when everything that was asked for is done, and the system has the memory back that nobody holds.
  /// - Throws: The first error of the pager.
  public func flush() throws(PagingError) {
    store.table.withLock { table in
      table.givesBack = true
      table.wake(.bringingIn)
    }
    try store.wait { $0.isIdle }
  }

  /// Makes all floats of the buffer zeros, without reading or writing any. Nobody may hold any.
  /// - Returns: Whether it did; not if some are kept in memory.
  func clear() throws(PagingError) -> Bool {
    guard !isKeeping.load(ordering: .relaxed) else { return false }
    try flush()
    store.table.withLock { $0.clear() }
    return true
  }

  // MARK: Figures

  /// The size in bytes of what is in memory now.
  public var residentBytes: Int { store.table.withLock { $0.residentCount } * Self.pageBytes }
  /// The largest size in bytes that was in memory at once.
  public var peakResidentBytes: Int { store.table.withLock { $0.mostResident } * Self.pageBytes }
  /// The bytes read from the file, and those written to it, so far.
  public var bytesRead: Int { store.table.withLock { $0.readCount } * Self.pageBytes }
  public var bytesWritten: Int { store.table.withLock { $0.writtenCount } * Self.pageBytes }

  /// The pages that have floats of the regions.
  private static func pages(of regions: [Region]) -> [Range<Int>] {
    regions.compactMap { $0.count > 0 ? $0.offset / pageLength..<($0.end - 1) / pageLength + 1 : nil }
  }

  /// The pages all of whose floats belong to the region; nil if there are none.
  private static func pagesWithin(_ region: Region) -> Range<Int>? {
    let first = (region.offset + pageLength - 1) / pageLength
    let end = region.end / pageLength
    return first < end ? first..<end : nil
  }
}
