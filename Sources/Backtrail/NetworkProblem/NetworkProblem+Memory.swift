import Foundation
import Networks
import Runs
import Tensors

/// Where the states of a network wait, and what of them stays in memory.
struct StatePages: Sendable {
  let folder: String
  let residency: StateResidency
}

extension NetworkProblem {
  public var paging: StatePaging? {
    pages.map { StatePaging($0.residency) }
  }

  /// The memory levels: a batch is whole or in micro-batches, activations are kept or recomputed stage by stage, and states are in
  /// memory, or a part of them is, so that no level takes both more time and more memory than another.
  public func memoryLevels(isMeasured: Bool, in folder: String) throws -> [MemoryLevel<NetworkProblem>] {
    // A head in parts takes less memory and one product more.
    let whole = try network.withMicroBatches(of: network.batchSize)
    let networks = try [whole.withWholeHead(), whole.withHeadInParts()].compactMap(\.self)
    let guessed = try networks.flatMap { try candidates($0, costs: nil, rates: .guessed, in: folder) }
    guard isMeasured, let least = guessed.min(by: { $0.bytes < $1.bytes }) else { return Self.best(guessed) }
    // A disk without room for the measurement is measured no better than by a guess.
    let rates = least.level.memory.paging == nil ? .guessed : (try? Pager.measuredRates(in: folder)) ?? .guessed
    let measured = try least.level.problem()
    let costs = try measured.measuredCosts()
    return try Self.best(networks.flatMap { network in
      try candidates(network, costs: { $0.costs(measured: costs, on: measured.network) }, rates: rates, in: folder)
    })
  }

  private typealias Candidate = (bytes: Int, level: MemoryLevel<NetworkProblem>)

  /// The levels of a network for whole batches, and for micro-batches of half as many examples, a quarter, and so on.
  /// - Parameter costs: the measured costs of a network's stages; nil for the guessed ones.
  private func candidates(
    _ network: CompiledNetwork, costs: ((CompiledNetwork) -> [StageCost])?, rates: PagingRates, in folder: String
  ) throws -> [Candidate] {
    let curve = MemoryCurve(network, costs: costs?(network))
    var all = candidates(network, curve, costs: costs?(network), rates: rates, in: folder)
    guard case .multiples(let unit) = network.batchParts else { return all }
    let few = curve.thinned(to: Self.partedPoints)
    var size = network.batchSize
    while size > unit {
      // The largest multiple of the unit up to the half, or the unit itself.
      size = max(unit, (size + 1) / 2 / unit * unit)
      let parted = try network.withMicroBatches(of: size)
      let partCosts = costs?(parted)
      all += candidates(parted, few.rescheduled(for: parted, costs: partCosts), costs: partCosts, rates: rates, in: folder)
    }
    return all
  }

  private func candidates(
    _ network: CompiledNetwork, _ curve: MemoryCurve, costs: [StageCost]?, rates: PagingRates, in folder: String
  ) -> [Candidate] {
    let stateBytes = network.stateCount * MemoryLayout<Float>.stride
    func level(_ point: MemoryCurve.Point, seconds: Double, _ pages: StatePages?) -> MemoryLevel<NetworkProblem> {
      let memory = LaneMemory(
        workspaceBytes: workspaceBytes(network, arenaCount: point.arenaCount, isPaged: pages != nil),
        paging: pages.map { StatePaging($0.residency) })
      return MemoryLevel(
        memory, secondsPerUpdate: seconds, repeatedPasses: network.microBatchCount * point.schedule.repeatedPasses,
        microBatches: network.microBatchCount
      ) { try with(network, point.schedule, pages) }
    }
    var candidates = curve.points.map { point in
      let level = level(point, seconds: point.seconds, nil)
      return Candidate(level.memory.workspaceBytes + stateBytes, level)
    }
    let pagedBytes = stateBytes + network.gradientCount * MemoryLayout<Float>.stride
    guard Self.hasRoom(for: pagedBytes, in: folder) else { return candidates }
    for index in Set(stride(from: 0, to: curve.points.count, by: max(1, curve.points.count / Self.pagedPoints)) + [curve.points.count - 1]) {
      let point = curve.points[index]
      for residency in network.residencies(point.schedule, costs: costs, rates: rates) where residency.byteCount < stateBytes {
        let level = level(point, seconds: residency.seconds, StatePages(folder: folder, residency: residency))
        candidates.append(Candidate(level.memory.workspaceBytes + residency.byteCount, level))
      }
    }
    return candidates
  }

  /// Those of which no other takes both less time and less memory, from fastest to slowest.
  private static func best(_ candidates: [Candidate]) -> [MemoryLevel<NetworkProblem>] {
    let sorted = candidates.sorted { ($0.level.secondsPerUpdate, $0.bytes) < ($1.level.secondsPerUpdate, $1.bytes) }
    let best: [Candidate] = sorted.reduce(into: []) { best, candidate in
      if candidate.bytes < best.last?.bytes ?? .max { best.append(candidate) }
    }
    return best.map(\.level)
  }

  /// Whether the disk of a folder has room for the file of one state.
  private static func hasRoom(for bytes: Int, in folder: String) -> Bool {
    var disk = statvfs()
    guard statvfs(folder, &disk) == 0 else { return false }
    return UInt64(bytes) <= UInt64(disk.f_bavail) * UInt64(disk.f_frsize)
  }

  /// How many points of the curve are looked at with paged states, and how many with micro-batches.
  private static let pagedPoints = 24
  private static let partedPoints = 12

  private func with(
    _ network: CompiledNetwork, _ schedule: ActivationSchedule, _ pages: StatePages?
  ) throws -> NetworkProblem {
    var copy = self
    copy.network = try network.rescheduled(schedule)
    copy.evaluator = try evaluator.fitted(arenaCount: copy.network.arenaCount)
    copy.pages = pages
    return copy
  }

  /// The times of the stages with this memory.
  private func measuredCosts() throws -> [StageCost] {
    let map = map(seed: 0)
    var state = try map.makeState()
    try layout.fillForTrials(&state)
    var workspace = try map.makeWorkspace()
    return try map.measuredCosts(&state, workspace: &workspace)
  }
}

extension StatePaging {
  init(_ residency: StateResidency) {
    self.init(
      residentBytes: residency.byteCount, keptBytes: residency.keptByteCount, bytesRead: residency.bytesRead,
      bytesWritten: residency.bytesWritten)
  }
}
