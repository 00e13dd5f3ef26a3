import Dispatch
import Foundation

/// Memory, file and table of a pager, and what its two threads do: one brings pages in, the other takes them out. They keep it until
/// both have ended.
final class PageStore: Sendable {
  /// Longer requests make disks no faster, and shorter ones let reading begin sooner where it waits for memory that is being written.
  private static let mostPagesAtOnce = 64
  /// How long memory that nobody uses waits for pages that come in, in milliseconds. The system takes longer to give memory, and to
  /// fill it with zeros, than the pager to move it.
  private static let patience = 250

  let memory: PageMemory
  private let file: PageFile
  let table: Lock<PageTable>
  private let folder: String
  /// Signalled by each thread when it touches nothing any more.
  private let ended = DispatchSemaphore(value: 0)

  init(memory: consuming PageMemory, file: consuming PageFile, folder: String) {
    let pageCount = memory.byteCount / Pager.pageBytes
    self.memory = memory
    self.file = file
    self.folder = folder
    table = Lock(PageTable(pageCount: pageCount))
  }

  /// Begins the two threads.
  func begin() {
    for (name, body) in [("pages in", bringIn), ("pages out", takeOut)] as [(String, @Sendable () -> Void)] {
      let thread = Thread(block: body)
      thread.name = name
      // They call nothing that goes deep, and there are two for every buffer. But a thread's stack holds its thread-local variables
      // too, the kernels' scratch memory among them, and a thread for which it is too small never begins.
      thread.stackSize = 1 << 20
      thread.start()
    }
  }

  /// Returns when memory and file are given back, so that whoever counts them next finds neither.
  func end() {
    table.withLock { table in
      table.isEnding = true
      table.wakeAll()
    }
    for _ in 0..<2 { ended.wait() }
    _ = memory.close(0..<memory.byteCount)
    file.empty()
    table.withLock { $0.end() }
  }

  // MARK: Callers

  func check() throws(PagingError) {
    if let failure = table.withLock({ $0.failure }) { throw failure }
  }

  /// Returns once `isDone` holds.
  func wait(until isDone: @Sendable (borrowing PageTable) -> Bool) throws(PagingError) {
    while true {
      let gate = try table.withLock { (table) throws(PagingError) -> DispatchSemaphore? in
        if let failure = table.failure { throw failure }
        return isDone(table) ? nil : table.makeGate(for: .holder)
      }
      guard let gate else { return }
      gate.wait()
    }
  }

  // MARK: The threads

  /// Waits for work.
  /// - Returns: What `find` finds; nil at the end.
  private func next<Work>(for thread: PageTable.Waiter, _ find: @Sendable (inout PageTable) -> Work?) -> Work? {
    while true {
      let (work, gate, hasSpares) = table.withLock { table -> (Work?, DispatchSemaphore?, Bool) in
        if table.isEnding { return (nil, nil, false) }
        if let work = find(&table) { return (work, nil, false) }
        return (nil, table.makeGate(for: thread), thread == .bringingIn && table.spareCount > 0)
      }
      guard let gate else { return work }
      if gate.wait(timeout: hasSpares ? .now() + .milliseconds(Self.patience) : .distantFuture) == .timedOut {
        table.withLock { $0.givesBack = true }
      }
    }
  }

  private enum Arrival {
    case load(PageTable.Load)
    case giveBack([Range<Int>])
  }

  private func bringIn() {
    while let arrival = next(for: .bringingIn, { table in
      table.nextLoad(atMost: Self.mostPagesAtOnce).map(Arrival.load) ?? table.nextToGiveBack().map(Arrival.giveBack)
    }) {
      switch arrival {
      case .load(let load):
        do throws(PagingError) {
          try bringIn(load)
          table.withLock { $0.finish(load, nil) }
        } catch {
          // What could not be verified is not left where it could be read.
          _ = memory.close(bytes(load.pages))
          table.withLock { $0.finish(load, error) }
        }
      case .giveBack(let ranges):
        do throws(PagingError) {
          for range in ranges { try check(memory.close(bytes(range))) }
          table.withLock { $0.gaveBack(ranges) }
        } catch {
          table.withLock { $0.fail(error) }
        }
      }
    }
    ended.signal()
  }

  private func bringIn(_ load: PageTable.Load) throws(PagingError) {
    for frame in load.frames {
      try check(memory.move(bytes(frame.from), to: frame.to * Pager.pageBytes))
    }
    try check(memory.open(bytes(load.pages)))
    switch load.content {
    case .stored(let digests): try read(load.pages, digests)
    case .zeros:
      let used = load.reused + load.frames.map { $0.to..<$0.to + $0.from.count }
      for pages in used { memory[bytes(pages)].initializeMemory(as: UInt8.self, repeating: 0) }
    case .any: break
    }
  }

  private func read(_ pages: Range<Int>, _ digests: [Digest]) throws(PagingError) {
    try file.read(into: memory[bytes(pages)], at: pages.lowerBound * Pager.pageBytes)
    for (page, digest) in zip(pages, digests) where self.digest(of: page) != digest {
      throw .damaged(folder: folder, reason: "page \(page) was read back with other bytes than were written")
    }
  }

  private func takeOut() {
    while let departure = next(for: .takingOut, { $0.nextDeparture(atMost: Self.mostPagesAtOnce) }) {
      do throws(PagingError) {
        if departure.isChanged { try write(departure) }
        for pages in table.withLock({ $0.takeOut(departure.pages) }) {
          try check(memory.hide(bytes(pages)))
          table.withLock { $0.addSpares(pages) }
        }
      } catch {
        table.withLock { $0.fail(error) }
      }
    }
    ended.signal()
  }

  private func write(_ departure: PageTable.Departure) throws(PagingError) {
    let digests = departure.pages.map(digest)
    do throws(PagingError) {
      try file.write(UnsafeRawBufferPointer(memory[bytes(departure.pages)]), at: departure.pages.lowerBound * Pager.pageBytes)
    } catch {
      table.withLock { $0.finishWriting(departure, nil) }
      throw error
    }
    table.withLock { $0.finishWriting(departure, digests) }
  }

  private func digest(of page: Int) -> Digest { Digest(of: UnsafeRawBufferPointer(memory[bytes(page..<page + 1)]).bytes) }

  private func bytes(_ pages: Range<Int>) -> Range<Int> { pages.lowerBound * Pager.pageBytes..<pages.upperBound * Pager.pageBytes }

  private func check(_ code: Int32) throws(PagingError) {
    guard code == 0 else { throw .failed(folder: folder, reason: String(cString: strerror(code))) }
  }
}
