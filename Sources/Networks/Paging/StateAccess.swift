import Tensors

/// What a stage's pass needs of the training state: the stage's own tensors, and on the way back their optimizer slots.
struct StateAccess: Sendable, Equatable {
  let regions: [Region]
  /// Whether the pass may change them.
  let isChanged: Bool
}

extension CompiledNetwork {
  /// What each step of the program needs of the training state; nil for a step that needs nothing.
  /// - Parameter isTraining: whether passes follow running statistics.
  static func accesses(
    _ steps: [PassStep<Region>], stages: [NetworkStage], layout: StateLayout, slots: Int, isTraining: Bool
  ) -> [StateAccess?] {
    steps.map { step in
      let tensors = layout.tensors[stages[step.stage].tensors]
      guard step.kind != .loss, let first = tensors.first, let last = tensors.last else { return nil }
      let own = Region(offset: first.region.offset, count: last.region.end - first.region.offset)
      guard step.kind == .backward else {
        return StateAccess(
          regions: [own], isChanged: isTraining && !step.isRepeated && tensors.contains { $0.role == .buffer })
      }
      return StateAccess(
        regions: (0...slots).map { Region(offset: own.offset + $0 * layout.count, count: own.count) }, isChanged: true)
    }
  }
}

/// Holds what one step after the other needs of a paged state, with the next step's part on its way in and the last one's on its way
/// out. Every update and evaluation takes the steps in the same order, so nothing is guessed.
struct StateHold: ~Copyable {
  private let pager: Pager?
  private let accesses: [StateAccess?]
  /// The regions that are held, and whether they may have changed since they were fetched.
  private var held: [Region: Bool] = [:]

  /// - Parameter pager: that of the state; nil where all of it is in memory, which takes no holding.
  init(_ pager: Pager?, _ accesses: [StateAccess?]) {
    self.pager = pager
    self.accesses = accesses
  }

  /// Returns when the state's part for the step at `index` is in memory. The steps come in their order.
  mutating func hold(for index: Int) throws(PagingError) {
    guard let pager, let access = accesses[index] else { return }
    let next = accesses[(index + 1)...].lazy.compactMap(\.self).first?.regions ?? []
    for (region, isChanged) in held where !access.regions.contains(region) && !next.contains(region) {
      held[region] = nil
      try pager.release([region], changed: isChanged)
    }
    for region in access.regions + next where held[region] == nil {
      pager.fetch([region])
      held[region] = false
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
