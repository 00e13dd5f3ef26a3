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
  /// The bytes among them that are kept.
  public let keptByteCount: Int
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
    let access = PlannedAccess(self, schedule, costs: costs ?? graph.stages.map(\.cost))
    var regions = access.stateRegions.sorted { ($0.count, $1.offset) > ($1.count, $0.offset) }
    regions = regions.filter { $0.offset < layout.count } + regions.filter { $0.offset >= layout.count }
    let all = regions.reduce(0) { $0 + $1.count }
    var numbers: Set<Int> = []
    var sum = 0
    for (index, region) in regions.enumerated() {
      // The number of kept regions at which each further part of the state's length is reached.
      if sum == 0 || sum * count / all < (sum + region.count) * count / all { numbers.insert(index) }
      sum += region.count
    }
    return numbers.sorted(by: >).map { access.residency(keeping: Array(regions[..<$0]), rates: rates) }
  }
}

/// What the steps of an update need of a paged state, as `StateHold` and the layers will ask for it. The sums of gradients over
/// micro-batches, a buffer of their own, are here as if they lay behind the state.
private struct PlannedAccess {
  struct Step {
    /// Regions that are held as a whole, and those among them that change.
    var held: [Region] = []
    var changed: [Region] = []
    /// Tensors that are read in parts, with the bytes read and written of each.
    var inParts: [(region: Region, read: Int, written: Int)] = []
    /// Bytes of the gradients that two layers share, which are never kept.
    var tiedRead = 0
    var tiedWritten = 0
    /// The bytes in memory of what is read in parts: a part, the next one, and the last one on its way out.
    var partBytes = 0
    /// The time of this step, and of those behind it that need nothing of the state.
    var seconds: Double
  }

  /// The steps of one micro-batch after the other: the first, one that stands for those between, and the last.
  private let parts: [(steps: [Step], count: Int)]
  private let stateCount: Int

  init(_ network: CompiledNetwork, _ schedule: ActivationSchedule, costs: [StageCost]) {
    let passes = PassBlocks(network.graph, schedule: schedule).steps
    let accesses = MicroBatchAccesses(
      passes, stages: network.stages, layout: network.layout, inParts: network.inParts, slots: network.slots,
      isTraining: true, deferred: network.deferred)
    stateCount = network.stateCount
    func steps(_ part: MicroBatch) -> [Step] { Self.steps(network, passes, accesses, part, costs: costs) }
    let count = network.microBatchCount
    var parts: [(steps: [Step], count: Int)] = []
    if count > 1 { parts.append((steps(network.microBatch(0)), 1)) }
    if count > 2 { parts.append((steps(network.microBatch(1)), count - 2)) }
    self.parts = parts + [(steps(network.microBatch(count - 1)), 1)]
  }

  /// The regions of the state that are held or read in parts.
  var stateRegions: Set<Region> {
    Set(parts.flatMap(\.steps).flatMap { $0.held + $0.inParts.map(\.region) }.filter { $0.offset < stateCount })
  }

  private static func steps(
    _ network: CompiledNetwork, _ passes: [PassStep<Int>], _ accesses: MicroBatchAccesses, _ part: MicroBatch, costs: [StageCost]
  ) -> [Step] {
    let (layout, slots) = (network.layout, network.slots)
    let isParted = network.microBatchCount > 1
    let size = MemoryLayout<Float>.stride
    var steps: [Step] = []
    for (index, pass) in passes.enumerated() {
      let cost = costs[pass.stage]
      let seconds =
        switch pass.kind {
        case .forward: cost.forwardSeconds
        case .backward: cost.backwardSeconds
        case .loss: 0.0
        }
      var step = Step(seconds: seconds)
      if let access = part.isLast ? accesses.last[index] : accesses.earlier[index] {
        step.held = access.regions
        if access.isChanged { step.changed = access.regions }
      }
      if isParted, let access = accesses.sums[index] {
        let regions = access.regions.map { Region(offset: $0.offset + network.stateCount, count: $0.count) }
        step.held += regions
        step.changed += regions
      }
      for tensor in network.inParts where pass.kind != .loss {
        let bytes = tensor.region.count * size
        let isOwn = layout.tensors[network.stages[pass.stage].tensors].contains { $0.region == tensor.region }
        let isBackward = pass.kind == .backward
        guard isOwn || tensor.isTied && pass.stage == network.stages.count - 1 else { continue }
        // A stage that waits for the last micro-batch does nothing before it.
        if isOwn, isBackward, network.deferred != nil, !part.isLast { continue }
        let updates = isOwn && isBackward && part.isLast
        let hasSum = isBackward && (tensor.isTied || isParted)
        var counts = [tensor.partCount]
        if updates { counts += Array(repeating: slots.precision.floatCount(of: tensor.partCount), count: slots.count) }
        if hasSum { counts.append(tensor.partCount) }
        step.partBytes += 3 * counts.reduce(0) { $0 + $1 * size + 2 * Pager.pageBytes }
        switch (isBackward, isOwn) {
        case (false, true):
          // A page, at most, for each number.
          step.inParts.append((tensor.region, min(bytes, cost.inputCount * Pager.pageBytes), 0))
        case (true, true):
          for region in [tensor.region] + (updates ? (0..<slots.count).map { slots.region($0, of: tensor.region) } : []) {
            step.inParts.append((region, region.count * size, updates ? region.count * size : 0))
          }
          if tensor.isTied {
            step.tiedRead = bytes
          } else if isParted {
            (step.tiedRead, step.tiedWritten) = (part.isFirst ? 0 : bytes, bytes)
          }
        default:
          step.inParts.append((tensor.region, bytes, 0))
          if isBackward { (step.tiedRead, step.tiedWritten) = (part.isFirst ? 0 : bytes, bytes) }
        }
      }
      if step.held.isEmpty, step.inParts.isEmpty, !steps.isEmpty {
        steps[steps.count - 1].seconds += seconds
      } else {
        steps.append(step)
      }
    }
    return steps
  }

  func residency(keeping kept: [Region], rates: PagingRates) -> StateResidency {
    let isKept = Set(kept)
    var (most, read, written, seconds) = (0, 0, 0, 0.0)
    func bytes(_ regions: some Sequence<Region>) -> Int {
      // A region begins and ends in pages that it shares with others.
      regions.reduce(0) { $0 + $1.count * MemoryLayout<Float>.stride + 2 * Pager.pageBytes }
    }
    for (number, part) in parts.enumerated() {
      let moving = part.steps.map { $0.held.filter { !isKept.contains($0) } }
      var held: [Region: Bool] = [:]
      for (place, step) in part.steps.enumerated() {
        let wanted = moving[place] + (place + 1 < part.steps.count ? moving[place + 1] : [])
        let leaving = held.keys.filter { !wanted.contains($0) }
        var bytesOut = bytes(leaving.filter { held[$0] == true }) + step.tiedWritten
        for region in leaving { held[region] = nil }
        let new = wanted.filter { held[$0] == nil }
        // What leaves has left before anything comes in.
        most = max(most, bytes(held.keys) + max(bytes(leaving), bytes(new)) + step.partBytes)
        for region in new { held[region] = false }
        for region in step.changed where !isKept.contains(region) { held[region] = true }
        // The first micro-batch writes the sums of gradients without reading them.
        var bytesIn = step.tiedRead + bytes(number == 0 ? new.filter { $0.offset < stateCount } : new)
        for part in step.inParts where !isKept.contains(part.region) {
          bytesIn += part.read
          bytesOut += part.written
        }
        read += part.count * bytesIn
        written += part.count * bytesOut
        seconds += Double(part.count) * max(step.seconds, Double(bytesIn) / rates.read + Double(bytesOut) / rates.write)
      }
      let last = bytes(held.keys.filter { held[$0] == true })
      written += part.count * last
      seconds += Double(part.count) * Double(last) / rates.write
    }
    return StateResidency(
      kept: kept, byteCount: most + bytes(kept), keptByteCount: bytes(kept), bytesRead: read, bytesWritten: written, seconds: seconds)
  }
}
