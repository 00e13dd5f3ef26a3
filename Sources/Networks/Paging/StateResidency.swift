import Tensors

/// How much of a paged training state a lane has in memory, and what an update then reads from its file and writes to it.
///
/// The kept regions stay; of the others, memory has what a pass works on and what the next ones will. What the last ones had leaves
/// while that comes in, and its memory is what comes in takes.
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
  /// First comes what saves most time a byte. Where passes take longer than the disk, nothing does: then parameters come before slots,
  /// since they are read twice, and of equals the largest, because what is not kept must fit beside what comes before and after it.
  /// - Parameters:
  ///   - schedule: the order of an update's passes.
  ///   - costs: the stages' costs with their times; nil for the guessed ones.
  ///   - rates: how fast the file is.
  ///   - count: how many choices there are at most.
  public func residencies(
    _ schedule: ActivationSchedule, costs: [StageCost]? = nil, rates: PagingRates, count: Int = 24
  ) -> [StateResidency] {
    let access = PlannedAccess(self, schedule, costs: costs ?? graph.stages.map(\.cost))
    let waits = access.waits(rates: rates)
    func rank(_ region: Region) -> (Double, Int, Int, Int) {
      (waits[region, default: 0] / Double(region.count), region.offset < layout.count ? 1 : 0, region.count, -region.offset)
    }
    let regions = access.stateRegions.sorted { rank($0) > rank($1) }
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
  /// Bytes in memory of the three buffers that may be paged.
  struct Held {
    var state = 0
    var sums = 0
    var tied = 0
  }

  struct Step {
    /// Regions that are needed as a whole, and those among them that change.
    var needed: [Region] = []
    var changed: [Region] = []
    /// What is held of the state and of the sums, as `withNext` has it.
    var state: [Region] = []
    var sums: [Region] = []
    /// Tensors that are read in parts, with the bytes read and written of each.
    var inParts: [(region: Region, read: Int, written: Int)] = []
    /// Bytes of the sums of gradients that are read in parts, which are never kept.
    var sumRead = 0
    var sumWritten = 0
    /// The bytes in memory of what is read in parts, a part and the next one: of the state, of the sums over micro-batches, and of the
    /// gradients that two layers share.
    var partBytes = Held()
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
    Set(parts.flatMap(\.steps).flatMap { $0.needed + $0.inParts.map(\.region) }.filter { $0.offset < stateCount })
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
        step.needed = access.regions
        if access.isChanged { step.changed = access.regions }
      }
      if isParted, let access = accesses.sums[index] {
        let regions = access.regions.map { Region(offset: $0.offset + network.stateCount, count: $0.count) }
        step.needed += regions
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
        func parts(of count: Int) -> Int { 2 * (count * size + 2 * Pager.pageBytes) }
        step.partBytes.state += parts(of: tensor.partCount)
        if updates { step.partBytes.state += slots.count * parts(of: slots.precision.floatCount(of: tensor.partCount)) }
        if hasSum { step.partBytes[keyPath: tensor.isTied ? \Held.tied : \Held.sums] += parts(of: tensor.partCount) }
        switch (isBackward, isOwn) {
        case (false, true):
          // A page, at most, for each number.
          step.inParts.append((tensor.region, min(bytes, cost.inputCount * Pager.pageBytes), 0))
        case (true, true):
          for region in [tensor.region] + (updates ? (0..<slots.count).map { slots.region($0, of: tensor.region) } : []) {
            step.inParts.append((region, region.count * size, updates ? region.count * size : 0))
          }
          if tensor.isTied {
            step.sumRead = bytes
          } else if isParted {
            (step.sumRead, step.sumWritten) = (part.isFirst ? 0 : bytes, bytes)
          }
        default:
          step.inParts.append((tensor.region, bytes, 0))
          if isBackward { (step.sumRead, step.sumWritten) = (part.isFirst ? 0 : bytes, bytes) }
        }
      }
      if step.needed.isEmpty, step.inParts.isEmpty, !steps.isEmpty {
        steps[steps.count - 1].seconds += seconds
      } else {
        steps.append(step)
      }
    }
    let state = steps.map { $0.needed.filter { $0.offset < network.stateCount } }.withNext
    let sums = steps.map { $0.needed.filter { $0.offset >= network.stateCount } }.withNext
    for place in steps.indices { (steps[place].state, steps[place].sums) = (state[place], sums[place]) }
    return steps
  }

  /// What reads and writes take at a step, in bytes, by the region of the state.
  private struct Traffic {
    /// The other buffers' bytes in `read` and `written`, and those of `regions`.
    var read = 0
    var written = 0
    var regions: [(region: Region, read: Int, written: Int)] = []
    /// What is in memory.
    var held = Held()

    mutating func add(_ region: Region, read: Int = 0, written: Int = 0) {
      self.read += read
      self.written += written
      regions.append((region, read, written))
    }

    /// The disk's time: it reads and writes at the same time.
    func seconds(_ rates: PagingRates) -> Double { max(Double(read) / rates.read, Double(written) / rates.write) }
  }

  /// Calls `body` with what happens at each step, how often, and how long passes run meanwhile.
  private func forEachStep(keeping kept: Set<Region>, _ body: (_ traffic: Traffic, _ count: Int, _ seconds: Double) -> Void) {
    for (number, part) in parts.enumerated() {
      // The regions that are held, and whether they have changed.
      var held: [Region: Bool] = [:]
      for step in part.steps {
        let wanted = (step.state + step.sums).filter { !kept.contains($0) }
        var traffic = Traffic(read: step.sumRead, written: step.sumWritten, held: step.partBytes)
        for (region, isChanged) in held where !wanted.contains(region) {
          // A step that needs nothing of a buffer gives up nothing of it.
          guard !(region.offset < stateCount ? step.state : step.sums).isEmpty else { continue }
          held[region] = nil
          if isChanged { traffic.add(region, written: region.pagedBytes) }
        }
        for region in wanted where held[region] == nil {
          held[region] = false
          // The first micro-batch writes the sums of gradients without reading them.
          if number > 0 || region.offset < stateCount { traffic.add(region, read: region.pagedBytes) }
        }
        for region in held.keys {
          traffic.held[keyPath: region.offset < stateCount ? \Held.state : \Held.sums] += region.pagedBytes
        }
        for region in step.changed where !kept.contains(region) { held[region] = true }
        for part in step.inParts where !kept.contains(part.region) { traffic.add(part.region, read: part.read, written: part.written) }
        body(traffic, part.count, step.seconds)
      }
      var last = Traffic()
      for (region, isChanged) in held where isChanged { last.add(region, written: region.pagedBytes) }
      body(last, part.count, 0)
    }
  }

  /// The seconds of an update for which passes wait for each region, where none is kept.
  func waits(rates: PagingRates) -> [Region: Double] {
    var waits: [Region: Double] = [:]
    forEachStep(keeping: []) { traffic, count, seconds in
      let wait = max(0, traffic.seconds(rates) - seconds)
      for part in traffic.regions {
        waits[part.region, default: 0] += Double(count) * min(wait, Double(part.read) / rates.read + Double(part.written) / rates.write)
      }
    }
    return waits
  }

  /// How much longer passes take for each second in which the disk is busy: digests of pages and their moves take memory bandwidth,
  /// and time of processors where lanes leave none idle.
  private static let burden = 0.1

  func residency(keeping kept: [Region], rates: PagingRates) -> StateResidency {
    var most = Held()
    var (read, written, seconds) = (0, 0, 0.0)
    forEachStep(keeping: Set(kept)) { traffic, count, passSeconds in
      for buffer in [\Held.state, \.sums, \.tied] { most[keyPath: buffer] = max(most[keyPath: buffer], traffic.held[keyPath: buffer]) }
      read += count * traffic.read
      written += count * traffic.written
      let disk = traffic.seconds(rates)
      seconds += Double(count) * (max(passSeconds, disk) + Self.burden * disk)
    }
    let keptBytes = kept.pagedBytes
    return StateResidency(
      kept: kept, byteCount: keptBytes + most.state + most.sums + most.tied, keptByteCount: keptBytes, bytesRead: read,
      bytesWritten: written, seconds: seconds)
  }
}
