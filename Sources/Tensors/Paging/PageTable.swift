import Dispatch

/// What a pager knows of its pages, and what it has still to do. It touches neither memory nor file.
struct PageTable {
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
  }

  enum Request {
    case fetch([Range<Int>])
    /// Pages that nobody holds any more are written if they have changed, and their memory is given back.
    case putAway([Range<Int>])
  }

  /// Adjacent pages that are brought in together.
  struct Load {
    let pages: Range<Int>
    /// The digest of each in the file; nil if all are zeros.
    let digests: [Digest]?
  }

  /// Adjacent pages that leave together.
  struct Departure {
    let pages: Range<Int>
    let isChanged: Bool
  }

  private var pages: [Page]
  private var digests: [Digest]
  private var requests: [Request] = []
  /// The requests that are not done.
  private(set) var pending = 0
  private(set) var failure: PagingError?
  var isEnding = false
  /// Signalled whenever something has been done.
  private var waiting: [DispatchSemaphore] = []
  /// The pages that have memory.
  private(set) var residentCount = 0
  private(set) var mostResident = 0
  private(set) var readCount = 0
  private(set) var writtenCount = 0

  init(pageCount: Int) {
    pages = Array(repeating: Page(), count: pageCount)
    digests = Array(repeating: Digest(high: 0, low: 0), count: pageCount)
  }

  // MARK: Those who hold pages

  /// - Parameter overwritten: The pages among those of `ranges` whose floats will not be read.
  mutating func fetch(_ ranges: [Range<Int>], overwritten: [Range<Int>]) {
    var missing: [Range<Int>] = []
    for range in ranges {
      // What others hold is there, or they have asked for it.
      if range.contains(where: { pages[$0].holds == 0 && !pages[$0].isResident }) { missing.append(range) }
      for page in range { pages[page].holds += 1 }
    }
    for range in overwritten {
      for page in range {
        pages[page].isStored = false
        pages[page].isChanged = true
      }
    }
    if !missing.isEmpty { add(.fetch(missing)) }
  }

  mutating func release(_ ranges: [Range<Int>], isChanged: Bool) {
    var left: [Range<Int>] = []
    for range in ranges {
      for page in range {
        precondition(pages[page].holds > 0, "only what is held can be released")
        pages[page].holds -= 1
        pages[page].isChanged = pages[page].isChanged || isChanged
      }
      if range.contains(where: { pages[$0].holds == 0 }) { left.append(range) }
    }
    if !left.isEmpty { add(.putAway(left)) }
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

  /// Makes all pages zeros. Nothing may be held or pending.
  mutating func clear() {
    for page in pages.indices {
      precondition(pages[page].holds == 0 && !pages[page].isResident, "a buffer is cleared as a whole while no part of it is held")
      pages[page] = Page()
    }
  }

  mutating func makeGate() -> DispatchSemaphore {
    let gate = DispatchSemaphore(value: 0)
    waiting.append(gate)
    return gate
  }

  // MARK: The thread

  private mutating func add(_ request: Request) {
    requests.append(request)
    pending += 1
  }

  /// The next thing to do; nil for one that is passed over, since an earlier one failed.
  mutating func nextRequest() -> Request? {
    let request = requests.removeFirst()
    return failure == nil ? request : nil
  }

  mutating func finishRequest(_ failure: PagingError? = nil) {
    pending -= 1
    self.failure = self.failure ?? failure
    wake()
  }

  private mutating func wake() {
    for gate in waiting { gate.signal() }
    waiting = []
  }

  /// The next pages from `first` on, up to `end`, that are held and not in memory, at most `most`; they are counted as resident. Nil
  /// if there are none.
  mutating func nextLoad(_ range: Range<Int>, atMost most: Int) -> Load? {
    guard let first = range.first(where: { pages[$0].holds > 0 && !pages[$0].isResident }) else { return nil }
    let isStored = pages[first].isStored
    let run = (first..<min(range.upperBound, first + most)).prefix {
      pages[$0].holds > 0 && !pages[$0].isResident && pages[$0].isStored == isStored
    }
    residentCount += run.count
    mostResident = max(mostResident, residentCount)
    return Load(pages: run, digests: isStored ? Array(digests[run]) : nil)
  }

  mutating func finish(_ load: Load) {
    for page in load.pages { pages[page].isResident = true }
    if load.digests != nil { readCount += load.pages.count }
    wake()
  }

  /// The next pages of `range` that are in memory and held by nobody, at most `most`; nil if there are none.
  mutating func nextDeparture(_ range: Range<Int>, atMost most: Int) -> Departure? {
    guard let first = range.first(where: { pages[$0].holds == 0 && pages[$0].isResident }) else { return nil }
    let isChanged = pages[first].isChanged
    let run = (first..<min(range.upperBound, first + most)).prefix {
      pages[$0].holds == 0 && pages[$0].isResident && pages[$0].isChanged == isChanged
    }
    for page in run {
      pages[page].isWriting = isChanged
      pages[page].isChanged = false
    }
    return Departure(pages: run, isChanged: isChanged)
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
    wake()
  }

  /// Takes the pages of `range` out of memory that nobody has begun to hold meanwhile.
  /// - Returns: Them. Their memory is still to be given back.
  mutating func takeOut(_ range: Range<Int>) -> [Range<Int>] {
    var taken: [Range<Int>] = []
    for page in range where pages[page].holds == 0 && pages[page].isResident && !pages[page].isChanged {
      pages[page].isResident = false
      if let last = taken.last, last.upperBound == page {
        taken[taken.count - 1] = last.lowerBound..<page + 1
      } else {
        taken.append(page..<page + 1)
      }
    }
    return taken
  }

  mutating func gaveBack(_ count: Int) { residentCount -= count }
}
