import Tensors

/// What a stage's pass needs of the training state: the stage's own tensors, and on the way back their optimizer slots. Tensors that
/// are read in parts are not among them.
struct StateAccess: Sendable, Equatable {
  let regions: [Region]
  /// Whether the pass may change them.
  let isChanged: Bool
}

extension [[Region]] {
  /// What is held at each step of a program, given what each needs of one buffer: that, and what the next steps will need, up to the
  /// first that needs an eighth of what any does. One that needs less is soon done, and the disk would have no time for what comes
  /// after it. A step that needs nothing changes nothing, and has nothing here either.
  var withNext: [[Region]] {
    let most = map(\.pagedBytes).max() ?? 0
    return indices.map { index in
      guard !self[index].isEmpty else { return [] }
      var held = self[index]
      for next in self[(index + 1)...] {
        held += next.filter { !held.contains($0) }
        if !next.isEmpty, next.pagedBytes >= most / 8 { break }
      }
      return held
    }
  }
}

/// What each step of a program needs; nil for a step that needs nothing.
struct MicroBatchAccesses: Sendable {
  /// Of the training state, in the last micro-batch, which updates it.
  private(set) var last: [StateAccess?] = []
  /// Of the training state, in those before it.
  private(set) var earlier: [StateAccess?] = []
  /// Of the sums of gradients.
  private(set) var sums: [StateAccess?] = []

  /// - Parameters:
  ///   - inParts: the tensors that layers read in parts by themselves.
  ///   - slots: where the optimizer's slots lie.
  ///   - isTraining: whether passes follow running statistics.
  init<Place>(
    _ steps: [PassStep<Place>], stages: [NetworkStage], layout: StateLayout, inParts: [TensorInParts], slots: SlotLayout, isTraining: Bool,
    deferred: DeferredStage?
  ) {
    for step in steps {
      let tensors = layout.tensors[stages[step.stage].tensors].filter { tensor in !inParts.contains { $0.region == tensor.region } }
      let own = tensors.map(\.region).joined
      guard step.kind != .loss, !tensors.isEmpty else {
        append(last: nil, earlier: nil, sums: nil)
        continue
      }
      guard step.kind == .backward else {
        let access = StateAccess(regions: own, isChanged: isTraining && !step.isRepeated && tensors.contains { $0.role == .buffer })
        append(last: access, earlier: access, sums: nil)
        continue
      }
      let all = own + (0..<slots.count).flatMap { slots.regions($0, of: tensors).joined }
      let waits = deferred != nil && step.stage == DeferredStage.stage
      let origin = deferred?.tensorEnd ?? 0
      append(
        last: StateAccess(regions: all, isChanged: true), earlier: waits ? nil : StateAccess(regions: own, isChanged: false),
        sums: waits ? nil : StateAccess(
          regions: own.map { Region(offset: $0.offset - origin, count: $0.count) }, isChanged: true))
    }
  }

  private mutating func append(last: StateAccess?, earlier: StateAccess?, sums: StateAccess?) {
    self.last.append(last)
    self.earlier.append(earlier)
    self.sums.append(sums)
  }
}

extension Region {
  /// The most memory that the pages of the region take. It begins and ends in some that it shares with others.
  var pagedBytes: Int { count * MemoryLayout<Float>.stride + 2 * Pager.pageBytes }
}

extension [Region] {
  var pagedBytes: Int { reduce(0) { $0 + $1.pagedBytes } }

  /// The regions, those together that lie next to each other but for padding.
  fileprivate var joined: [Region] {
    reduce(into: []) { joined, region in
      if let last = joined.last, region.offset - last.end < FloatBuffer.alignment {
        joined[joined.count - 1] = Region(offset: last.offset, count: region.end - last.offset)
      } else {
        joined.append(region)
      }
    }
  }
}

/// Holds what one step after the other needs of a paged state, with what the next steps need on its way in and what the last ones did
/// on its way out. Every update and evaluation takes the steps in the same order, so nothing is guessed.
struct StateHold: ~Copyable {
  private let pager: Pager?
  private let accesses: [StateAccess?]
  private let wanted: [[Region]]
  /// Whether the steps write all floats before they read any.
  private let isOverwriting: Bool
  /// The regions that are held, and whether they may have changed since they were fetched.
  private var held: [Region: Bool] = [:]

  /// - Parameter pager: that of the state; nil where all of it is in memory, which takes no holding.
  init(_ pager: Pager?, _ accesses: [StateAccess?], isOverwriting: Bool = false) {
    self.pager = pager
    self.accesses = accesses
    wanted = pager == nil ? [] : accesses.map { $0?.regions ?? [] }.withNext
    self.isOverwriting = isOverwriting
  }

  /// Returns when the state's part for the step at `index` is in memory. The steps come in their order.
  mutating func hold(for index: Int) throws(PagingError) {
    guard let pager, let access = accesses[index] else { return }
    let wanted = wanted[index]
    for (region, isChanged) in held where !wanted.contains(region) {
      held[region] = nil
      try pager.release([region], changed: isChanged)
    }
    for region in wanted where held[region] == nil {
      pager.fetch([region], overwriting: isOverwriting)
      held[region] = isOverwriting
    }
    try pager.wait(for: access.regions)
    if access.isChanged { for region in access.regions { held[region] = true } }
  }

  /// Gives up all that is held. To be called at the end of the steps, whether or not one of them failed.
  mutating func releaseAll() throws(PagingError) {
    var failure: PagingError?
    for (region, isChanged) in held {
      do throws(PagingError) {
        try pager?.release([region], changed: isChanged)
      } catch {
        failure = failure ?? error
      }
    }
    held = [:]
    if let failure { throw failure }
  }
}
