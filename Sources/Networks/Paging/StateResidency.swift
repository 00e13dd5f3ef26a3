import Tensors

/// How much of a paged training state a lane has in memory, and what an update then reads from its file and writes to it.
///
/// The kept regions stay; of the others, memory has what a pass works on, what the next one will, and what the last one is still
/// writing.
public struct StateResidency: Sendable {
  /// What stays in memory between the passes.
  public let kept: [Region]
  /// The most bytes of a lane's state that are in memory at once.
  public let byteCount: Int
  public let bytesRead: Int
  public let bytesWritten: Int
  /// The time of an update in seconds, where reading and writing go on while passes run.
  public let seconds: Double
}

extension CompiledNetwork {
  /// The choices of how much of a state is kept in memory, from most to least, for updates with one schedule.
  ///
  /// A kept parameter saves two reads and a write of each of its bytes, a kept slot one of each; so parameters come first, and of
  /// equals the largest, because what is not kept must fit beside what comes before and after it.
  /// - Parameters:
  ///   - schedule: the order of an update's passes.
  ///   - costs: the stages' costs with their times; nil for the guessed ones.
  ///   - rates: how fast the file is.
  ///   - count: how many choices there are at most.
  public func residencies(
    _ schedule: ActivationSchedule, costs: [StageCost]? = nil, rates: PagingRates, count: Int = 12
  ) -> [StateResidency] {
    let program = PassBlocks(graph, schedule: schedule)
    let accesses = Self.accesses(
      program.steps.map { step in step.map { _ in Region(offset: 0, count: 0) } }, stages: stages, layout: layout,
      slots: optimizer.slotNames.count, isTraining: true)
    let times = program.steps.map { step in
      let cost = (costs ?? graph.stages.map(\.cost))[step.stage]
      return switch step.kind {
      case .forward: cost.forwardSeconds
      case .backward: cost.backwardSeconds
      case .loss: 0.0
      }
    }
    var regions = Set(accesses.flatMap { $0?.regions ?? [] }).sorted { ($0.count, $1.offset) > ($1.count, $0.offset) }
    regions = regions.filter { $0.offset < layout.count } + regions.filter { $0.offset >= layout.count }
    let all = regions.reduce(0) { $0 + $1.count }
    var numbers: Set<Int> = []
    var sum = 0
    for (index, region) in regions.enumerated() {
      // The number of kept regions at which each further part of the state's length is reached.
      if sum == 0 || sum * count / all < (sum + region.count) * count / all { numbers.insert(index) }
      sum += region.count
    }
    return numbers.sorted(by: >).map { residency(accesses, times, kept: Array(regions[..<$0]), rates: rates) }
  }

  private func residency(
    _ accesses: [StateAccess?], _ times: [Double], kept: [Region], rates: PagingRates
  ) -> StateResidency {
    let isKept = Set(kept)
    let steps = accesses.indices.filter { accesses[$0] != nil }
    let moving = steps.map { (accesses[$0]?.regions ?? []).filter { !isKept.contains($0) } }
    var held: [Region: Bool] = [:]
    var (most, read, written, seconds) = (0, 0, 0, 0.0)
    func bytes(_ regions: some Sequence<Region>) -> Int {
      // A region begins and ends in pages that it shares with others.
      regions.reduce(0) { $0 + $1.count * MemoryLayout<Float>.stride + 2 * Pager.pageBytes }
    }
    for (place, index) in steps.enumerated() {
      let next = place + 1 < steps.count ? moving[place + 1] : []
      let wanted = moving[place] + next
      let leaving = held.keys.filter { !wanted.contains($0) }
      let out = bytes(leaving.filter { held[$0] == true })
      for region in leaving { held[region] = nil }
      let new = wanted.filter { held[$0] == nil }
      // What leaves has left before anything comes in.
      most = max(most, bytes(held.keys) + max(bytes(leaving), bytes(new)))
      for region in new { held[region] = false }
      if accesses[index]?.isChanged == true { for region in moving[place] { held[region] = true } }
      read += bytes(new)
      written += out
      // What the passes up to the next access take, and what is read and written meanwhile.
      let end = place + 1 < steps.count ? steps[place + 1] : accesses.count
      let begin = place == 0 ? 0 : index
      seconds += max(times[begin..<end].reduce(0, +), Double(bytes(new)) / rates.read + Double(out) / rates.write)
    }
    let last = bytes(held.keys.filter { held[$0] == true })
    return StateResidency(
      kept: kept, byteCount: most + bytes(kept), bytesRead: read, bytesWritten: written + last,
      seconds: seconds + Double(last) / rates.write)
  }
}
