import Tensors

/// Regions of a paged buffer that one of several pieces of work needs.
struct PartNeed {
  private let pager: Pager
  private let regions: [Region]
  private let use: PartUse

  init(_ pager: Pager, _ regions: [Region], _ use: PartUse) {
    self.pager = pager
    self.regions = regions
    self.use = use
  }

  /// Calls `body` with 0, 1, … while what it needs is in memory, and what the next call needs is on its way in.
  /// - Parameters:
  ///   - count: the number of calls.
  ///   - needs: what a call needs; nothing where all is in memory.
  static func hold(
    _ count: Int, needs: (Int) -> [PartNeed], _ body: (Int) throws(PagingError) -> Void
  ) throws(PagingError) {
    var held: [[PartNeed]] = []
    func fetch(_ index: Int) {
      let all = needs(index)
      for need in all { need.pager.fetch(need.regions, overwriting: need.use == .overwrite) }
      held.append(all)
    }
    /// Gives up what the oldest call has held.
    func release() throws(PagingError) {
      var failure: PagingError?
      for need in held.removeFirst() {
        do throws(PagingError) {
          try need.pager.release(need.regions, changed: need.use != .read)
        } catch {
          failure = failure ?? error
        }
      }
      if let failure { throw failure }
    }
    do throws(PagingError) {
      if count > 0 { fetch(0) }
      for index in 0..<count {
        if index + 1 < count { fetch(index + 1) }
        for need in held[0] { try need.pager.wait(for: need.regions) }
        try body(index)
        try release()
      }
    } catch {
      while !held.isEmpty { try? release() }
      throw error
    }
  }
}
