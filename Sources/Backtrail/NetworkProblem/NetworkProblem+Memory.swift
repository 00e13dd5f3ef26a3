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

  /// The memory levels: activations are kept, or recomputed stage by stage, and states are in memory, or a part of them is, so
  /// that no level takes both more time and more memory than another.
  public func memoryLevels(isMeasured: Bool, in folder: String) throws -> [MemoryLevel<NetworkProblem>] {
    // A head in parts takes less memory and one product more.
    let networks = try [network.withWholeHead(), network.withHeadInParts()].compactMap(\.self)
    let guessed = networks.flatMap { candidates($0, MemoryCurve($0), costs: nil, rates: .guessed, in: folder) }
    guard isMeasured, let least = guessed.min(by: { $0.bytes < $1.bytes }) else { return Self.best(guessed) }
    // A disk without room for the measurement is measured no better than by a guess.
    let rates = least.level.memory.paging == nil ? .guessed : (try? Pager.measuredRates(in: folder)) ?? .guessed
    let costs = try least.level.problem().measuredCosts()
    return Self.best(networks.flatMap { network in
      let costs = network.costs(measured: costs)
      return candidates(network, MemoryCurve(network, costs: costs), costs: costs, rates: rates, in: folder)
    })
  }

  private typealias Candidate = (bytes: Int, level: MemoryLevel<NetworkProblem>)

  private func candidates(
    _ network: CompiledNetwork, _ curve: MemoryCurve, costs: [StageCost]?, rates: PagingRates, in folder: String
  ) -> [Candidate] {
    let stateBytes = network.stateCount * MemoryLayout<Float>.stride
    let tiedBytes = network.tiedGradientCount * MemoryLayout<Float>.stride
    var candidates = curve.points.map { point in
      let memory = LaneMemory(workspaceBytes: workspaceBytes(arenaCount: point.arenaCount) + tiedBytes)
      return Candidate(
        memory.workspaceBytes + stateBytes,
        MemoryLevel(memory, secondsPerUpdate: point.seconds, repeatedPasses: point.schedule.repeatedPasses) {
          try with(network, point.schedule, nil)
        })
    }
    guard Self.hasRoom(for: stateBytes + tiedBytes, in: folder) else { return candidates }
    for index in Set(stride(from: 0, to: curve.points.count, by: max(1, curve.points.count / Self.pagedPoints)) + [curve.points.count - 1]) {
      let point = curve.points[index]
      for residency in network.residencies(point.schedule, costs: costs, rates: rates) where residency.byteCount < stateBytes {
        let pages = StatePages(folder: folder, residency: residency)
        let memory = LaneMemory(
          workspaceBytes: workspaceBytes(arenaCount: point.arenaCount),
          paging: StatePaging(residency))
        candidates.append(
          Candidate(
            memory.workspaceBytes + residency.byteCount,
            MemoryLevel(memory, secondsPerUpdate: residency.seconds, repeatedPasses: point.schedule.repeatedPasses) {
              try with(network, point.schedule, pages)
            }))
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

  /// How many points of the curve are looked at with paged states.
  private static let pagedPoints = 24

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
