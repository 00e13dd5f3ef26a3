import Dispatch
import Foundation
import Synchronization

/// Brings the floats of one buffer from a file into memory and back, while others compute.
///
///     pager.fetch([next])
///     try pager.wait(for: [current])
///     // … work on state.mutableVector.part(current) …
///     try pager.release([current], changed: true)
///
/// Memory and file are divided into pages of `pageBytes`. A page is in memory as long as somebody holds a region that has floats of
/// it, so that regions may share pages at their seams. A thread carries out what is asked for, in order: what was released before a
/// fetch has left memory before it comes in. So memory never holds more than what is held and what is on its way out, and who
/// computes faster than the disk writes waits in `wait`.
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
  /// Longer requests make disks no faster.
  private static let mostPagesAtOnce = 64
  private static let pageLength = pageBytes / MemoryLayout<Float>.stride

  /// Where the file is.
  public let folder: String
  private let store: Store
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
    let pageCount = rounded / Self.pageBytes
    let file = try PageFile(in: folder, byteCount: pageCount * Self.pageBytes)
    self.folder = folder
    store = Store(memory: memory, file: file, pageCount: pageCount, folder: folder)
    let thread = Thread { [store] in store.run() }
    thread.name = "pages"
    // It calls nothing that goes deep, and there is one for every buffer.
    thread.stackSize = 256 << 10
    thread.start()
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
    store.add { $0.fetch(ranges, overwritten: overwritten) }
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
    store.add { $0.release(ranges, isChanged: changed) }
    try store.check()
  }

  /// Returns when everything that was asked for is done, and what nobody holds has left memory.
  /// - Throws: The first error of the pager.
  public func flush() throws(PagingError) {
    try store.wait { $0.pending == 0 }
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

extension Pager {
  /// Memory, file and table of a pager. Its thread keeps them until it has ended.
  private final class Store: Sendable {
    let memory: PageMemory
    let file: PageFile
    let table: Lock<PageTable>
    private let folder: String
    /// Signalled for every request, and at the end.
    private let work = DispatchSemaphore(value: 0)
    /// Signalled when the thread has given everything back.
    private let ended = DispatchSemaphore(value: 0)

    init(memory: consuming PageMemory, file: consuming PageFile, pageCount: Int, folder: String) {
      self.memory = memory
      self.file = file
      self.folder = folder
      table = Lock(PageTable(pageCount: pageCount))
    }

    // MARK: Callers

    /// Adds what `body` asks for.
    func add(_ body: @Sendable (inout PageTable) -> Void) {
      let isAsked = table.withLock { table in
        let before = table.pending
        body(&table)
        return table.pending > before
      }
      if isAsked { work.signal() }
    }

    func check() throws(PagingError) {
      if let failure = table.withLock({ $0.failure }) { throw failure }
    }

    /// Returns once `isDone` holds.
    func wait(until isDone: @Sendable (borrowing PageTable) -> Bool) throws(PagingError) {
      while true {
        let gate = try table.withLock { (table) throws(PagingError) -> DispatchSemaphore? in
          if let failure = table.failure { throw failure }
          return isDone(table) ? nil : table.makeGate()
        }
        guard let gate else { return }
        gate.wait()
      }
    }

    /// Returns when memory and file are given back, so that whoever counts them next finds neither.
    func end() {
      table.withLock { $0.isEnding = true }
      work.signal()
      ended.wait()
    }

    // MARK: The thread

    func run() {
      while true {
        work.wait()
        let (isEnding, request) = table.withLock { table in
          table.isEnding ? (true, nil) : (false, table.nextRequest())
        }
        if isEnding {
          _ = memory.close(0..<memory.byteCount)
          file.empty()
          ended.signal()
          return
        }
        do throws(PagingError) {
          switch request {
          case .fetch(let ranges): for range in ranges { try bringIn(range) }
          case .putAway(let ranges): for range in ranges { try putAway(range) }
          case nil: break
          }
          table.withLock { $0.finishRequest() }
        } catch {
          table.withLock { $0.finishRequest(error) }
        }
      }
    }

    private func bringIn(_ range: Range<Int>) throws(PagingError) {
      while let load = table.withLock({ $0.nextLoad(range, atMost: mostPagesAtOnce) }) {
        do throws(PagingError) {
          try check(memory.open(bytes(load.pages)))
          if let digests = load.digests { try read(load.pages, digests) }
        } catch {
          // What could not be verified is not left where it could be read.
          _ = memory.close(bytes(load.pages))
          table.withLock { $0.gaveBack(load.pages.count) }
          throw error
        }
        table.withLock { $0.finish(load) }
      }
    }

    private func read(_ pages: Range<Int>, _ digests: [Digest]) throws(PagingError) {
      try file.read(into: memory[bytes(pages)], at: pages.lowerBound * pageBytes)
      for (page, digest) in zip(pages, digests) where self.digest(of: page) != digest {
        throw .damaged(folder: folder, reason: "page \(page) was read back with other bytes than were written")
      }
    }

    private func putAway(_ range: Range<Int>) throws(PagingError) {
      while let departure = table.withLock({ $0.nextDeparture(range, atMost: mostPagesAtOnce) }) {
        if departure.isChanged {
          let digests = departure.pages.map(digest)
          do throws(PagingError) {
            try file.write(UnsafeRawBufferPointer(memory[bytes(departure.pages)]), at: departure.pages.lowerBound * pageBytes)
          } catch {
            table.withLock { $0.finishWriting(departure, nil) }
            throw error
          }
          table.withLock { $0.finishWriting(departure, digests) }
        }
        for pages in table.withLock({ $0.takeOut(departure.pages) }) {
          try check(memory.close(bytes(pages)))
          table.withLock { $0.gaveBack(pages.count) }
        }
      }
    }

    private func digest(of page: Int) -> Digest { Digest(of: UnsafeRawBufferPointer(memory[bytes(page..<page + 1)]).bytes) }

    private func bytes(_ pages: Range<Int>) -> Range<Int> { pages.lowerBound * pageBytes..<pages.upperBound * pageBytes }

    private func check(_ code: Int32) throws(PagingError) {
      guard code == 0 else { throw .failed(folder: folder, reason: String(cString: strerror(code))) }
    }
  }
}
