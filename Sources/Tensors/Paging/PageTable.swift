import Dispatch

/// What a pager knows of its pages, and what its two threads have still to do. It touches neither memory nor file.
struct PageTable {
  /// Who may wait for something.
  enum Waiter: CaseIterable {
    case holder
    case bringingIn
    case takingOut
  }

  private struct Page {
    var holds: UInt32 = 0
    /// Whether its floats are in memory.
    var isResident = false
    /// Whether the file has floats of it. A page that is neither resident nor stored is all zeros.
    var isStored = false
    /// Whether memory has other floats than the file.
    var isChanged = false
    /// Whether it is being written, so that nobody may change it.
    var isWriting = false
    /// Whether it is being brought into memory, or its memory is being taken from it.
    var isMoving = false
  }

  /// Adjacent pages that are brought in together.
  struct Load {
    enum Content {
      case zeros
      /// What was written, with the digest of each page.
      case stored([Digest])
      /// Anything, since all of it will be overwritten.
      case any
    }

    let pages: Range<Int>
    let content: Content
    /// Pages that have left memory and whose memory goes to those from `to` on. It holds what it held; those pages of the load that
    /// are neither here nor in `reused` have none.
    let frames: [(from: Range<Int>, to: Int)]
    /// Pages of the load that have left and whose memory is still where it was.
    let reused: [Range<Int>]
  }

  /// Adjacent pages that leave together.
  struct Departure {
    let pages: Range<Int>
    let isChanged: Bool
  }

  private var pages: [Page]
  private var digests: [Digest]
  /// Pages that are to be brought in if they are still wanted, and pages that are to leave if nobody wants them, each in order.
  private var arrivals: [Range<Int>] = []
  private var departures: [Range<Int>] = []
  private(set) var failure: PagingError?
  var isEnding = false
  /// Signalled when something has happened that they may wait for.
  private var gates: [Waiter: [DispatchSemaphore]] = [:]
  /// The pages that somebody holds, and the most that there have ever been.
  private var heldCount = 0
  private var mostHeld = 0
  /// The pages that are in memory, or on their way in or out.
  private var occupiedCount = 0
  /// Pages that have left and whose memory waits for others, from the first that left to the last, and how many there are, with those
  /// whose memory is being given back.
  private var spares: [Range<Int>] = []
  private(set) var spareCount = 0
  /// Whether spare memory is given back as soon as there is nothing else to do.
  var givesBack = false
  private(set) var mostResident = 0
  private(set) var readCount = 0
  private(set) var writtenCount = 0

  init(pageCount: Int) {
    pages = Array(repeating: Page(), count: pageCount)
    digests = Array(repeating: Digest(high: 0, low: 0), count: pageCount)
  }

  /// The pages that have memory.
  var residentCount: Int { occupiedCount + spareCount }

  /// Whether everything that was asked for is done, and all memory that nobody needs is given back.
  var isIdle: Bool { arrivals.isEmpty && departures.isEmpty && spareCount == 0 }

  // MARK: Those who hold pages

  /// - Parameter overwritten: The pages among those of `ranges` whose floats will not be read.
  mutating func fetch(_ ranges: [Range<Int>], overwritten: [Range<Int>]) {
    givesBack = false
    for range in ranges {
      // What others hold is there, or they have asked for it.
      if range.contains(where: { pages[$0].holds == 0 && !pages[$0].isResident }) { ask(&arrivals, for: range) }
      for page in range {
        if pages[page].holds == 0 { heldCount += 1 }
        pages[page].holds += 1
      }
    }
    mostHeld = max(mostHeld, heldCount)
    for range in overwritten {
      for page in range {
        pages[page].isStored = false
        pages[page].isChanged = true
      }
    }
    wake(.bringingIn)
  }

  mutating func release(_ ranges: [Range<Int>], isChanged: Bool) {
    for range in ranges {
      for page in range {
        precondition(pages[page].holds > 0, "only what is held can be released")
        pages[page].holds -= 1
        if pages[page].holds == 0 { heldCount -= 1 }
        pages[page].isChanged = pages[page].isChanged || isChanged
      }
      if range.contains(where: { pages[$0].holds == 0 }) { ask(&departures, for: range) }
    }
    wake(.takingOut)
  }

  /// After an error nothing more is done.
  private func ask(_ list: inout [Range<Int>], for range: Range<Int>) {
    if failure == nil { list.append(range) }
  }

  /// Whether the floats of all these pages are there to be used.
  func areReady(_ ranges: [Range<Int>]) -> Bool {
    ranges.allSatisfy { range in
      range.allSatisfy { page in
        precondition(pages[page].holds > 0, "what is waited for must have been fetched")
        return pages[page].isResident && !pages[page].isWriting
      }
    }
  }

  /// Makes all pages zeros. The pager must be idle, and nothing held.
  mutating func clear() {
    for page in pages.indices {
      precondition(pages[page].holds == 0 && !pages[page].isResident, "a buffer is cleared as a whole while no part of it is held")
      pages[page] = Page()
    }
  }

  mutating func makeGate(for waiter: Waiter) -> DispatchSemaphore {
    let gate = DispatchSemaphore(value: 0)
    gates[waiter, default: []].append(gate)
    return gate
  }

  mutating func wake(_ waiter: Waiter) {
    for gate in gates.removeValue(forKey: waiter) ?? [] { gate.signal() }
  }

  mutating func wakeAll() {
    for waiter in Waiter.allCases { wake(waiter) }
  }

  /// Notes that all memory is given back.
  mutating func end() {
    spares = []
    (occupiedCount, spareCount) = (0, 0)
  }

  mutating func fail(_ error: PagingError) {
    failure = failure ?? error
    arrivals = []
    departures = []
    wakeAll()
  }

  // MARK: The thread that brings in

  /// The next pages to bring in, at most `most`. Nil if there are none, or no room for them yet: there is room for as many pages as
  /// were ever held at once.
  mutating func nextLoad(atMost most: Int) -> Load? {
    while let range = arrivals.first {
      guard let first = range.first(where: { pages[$0].holds > 0 && !pages[$0].isResident }) else {
        arrivals.removeFirst()
        if isIdle { wake(.holder) }
        continue
      }
      arrivals[0] = first..<range.upperBound
      let (isStored, isChanged) = (pages[first].isStored, pages[first].isChanged)
      let room = max(0, min(most, mostHeld - occupiedCount))
      let run = (first..<min(range.upperBound, first + room)).prefix {
        let page = pages[$0]
        return page.holds > 0 && !page.isResident && !page.isMoving && page.isStored == isStored && page.isChanged == isChanged
      }
      guard !run.isEmpty else { return nil }
      for page in run { pages[page].isMoving = true }
      occupiedCount += run.count
      let (frames, reused) = takeSpares(for: run)
      mostResident = max(mostResident, residentCount)
      return Load(
        pages: run, content: isStored ? .stored(Array(digests[run])) : isChanged ? .any : .zeros, frames: frames, reused: reused)
    }
    return nil
  }

  /// Takes spare memory for the pages of `run`: that which lies there, and then what became spare first.
  private mutating func takeSpares(for run: Range<Int>) -> (frames: [(from: Range<Int>, to: Int)], reused: [Range<Int>]) {
    var reused: [Range<Int>] = []
    spares = spares.flatMap { spare in
      let own = spare.clamped(to: run)
      guard !own.isEmpty else { return [spare] }
      reused.append(own)
      return [spare.lowerBound..<own.lowerBound, own.upperBound..<spare.upperBound].filter { !$0.isEmpty }
    }
    var frames: [(from: Range<Int>, to: Int)] = []
    var place = run.lowerBound
    for next in reused.sorted(by: { $0.lowerBound < $1.lowerBound }) + [run.upperBound..<run.upperBound] {
      while place < next.lowerBound, let spare = spares.first {
        let taken = spare.prefix(next.lowerBound - place)
        frames.append((taken, place))
        place += taken.count
        if taken == spare { spares.removeFirst() } else { spares[0] = taken.upperBound..<spare.upperBound }
      }
      place = next.upperBound
    }
    spareCount -= frames.reduce(0) { $0 + $1.from.count } + reused.reduce(0) { $0 + $1.count }
    return (frames, reused)
  }

  /// Notes that pages are in memory, or, after an error, that they are not and have none.
  mutating func finish(_ load: Load, _ error: PagingError?) {
    for page in load.pages {
      pages[page].isMoving = false
      pages[page].isResident = error == nil
    }
    if let error {
      occupiedCount -= load.pages.count
      return fail(error)
    }
    if case .stored = load.content { readCount += load.pages.count }
    wake(.holder)
    wake(.takingOut)
  }

  /// The spare memory, once it is to be given back; nil if there is none.
  mutating func nextToGiveBack() -> [Range<Int>]? {
    guard givesBack, !spares.isEmpty, arrivals.isEmpty, departures.isEmpty else { return nil }
    defer { spares = [] }
    return spares
  }

  mutating func gaveBack(_ ranges: [Range<Int>]) {
    spareCount -= ranges.reduce(0) { $0 + $1.count }
    if isIdle { wake(.holder) }
  }

  // MARK: The thread that takes out

  /// The next pages in memory that nobody holds, at most `most`; nil if there are none.
  mutating func nextDeparture(atMost most: Int) -> Departure? {
    while let range = departures.first {
      guard let first = range.first(where: { pages[$0].holds == 0 && (pages[$0].isResident || pages[$0].isMoving) }) else {
        departures.removeFirst()
        if isIdle { wake(.holder) } else if givesBack { wake(.bringingIn) }
        continue
      }
      departures[0] = first..<range.upperBound
      let isChanged = pages[first].isChanged
      let run = (first..<min(range.upperBound, first + most)).prefix {
        pages[$0].holds == 0 && pages[$0].isResident && pages[$0].isChanged == isChanged
      }
      // What is still on its way in leaves when it is there.
      guard !run.isEmpty else { return nil }
      for page in run {
        pages[page].isWriting = isChanged
        pages[page].isChanged = false
      }
      return Departure(pages: run, isChanged: isChanged)
    }
    return nil
  }

  /// Notes what was written, or that it was not.
  /// - Parameter written: The digest of each page; nil after a failure.
  mutating func finishWriting(_ departure: Departure, _ written: [Digest]?) {
    for (index, page) in departure.pages.enumerated() {
      pages[page].isWriting = false
      guard let written else {
        pages[page].isChanged = true
        continue
      }
      pages[page].isStored = true
      digests[page] = written[index]
    }
    if written != nil { writtenCount += departure.pages.count }
    wake(.holder)
  }

  /// Takes the pages of `range` out of memory that nobody has begun to hold meanwhile.
  /// - Returns: Them. Their memory is still there.
  mutating func takeOut(_ range: Range<Int>) -> [Range<Int>] {
    var taken: [Range<Int>] = []
    for page in range where pages[page].holds == 0 && pages[page].isResident && !pages[page].isChanged {
      pages[page].isResident = false
      pages[page].isMoving = true
      if let last = taken.last, last.upperBound == page {
        taken[taken.count - 1] = last.lowerBound..<page + 1
      } else {
        taken.append(page..<page + 1)
      }
    }
    return taken
  }

  /// Notes that nobody can use the memory of pages that were taken out, so that others may have it.
  mutating func addSpares(_ range: Range<Int>) {
    for page in range { pages[page].isMoving = false }
    occupiedCount -= range.count
    spares.append(range)
    spareCount += range.count
    wake(.bringingIn)
  }
}
