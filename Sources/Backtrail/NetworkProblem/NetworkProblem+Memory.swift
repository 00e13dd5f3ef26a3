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
  public func memoryLevels(measuring measurement: TimeMeasurement?, in folder: String) throws -> [MemoryLevel<NetworkProblem>] {
    // A head in parts takes less memory and one product more.
    let networks = try [network.withWholeHead(), network.withHeadInParts()].compactMap(\.self)
    let costs = try measurement.map { try measuredCosts($0, in: folder) }
    let curves = networks.map { network in
      let own = costs.map { network.costs(measured: $0) }
      return (network, MemoryCurve(network, costs: own), own)
    }
    func levels(_ rates: PagingRates) -> [MemoryLevel<NetworkProblem>] {
      Self.best(curves.flatMap { candidates($0, $1, costs: $2, rates: rates, in: folder) })
    }
    let guessed = levels(.guessed)
    guard let measurement, guessed.contains(where: { $0.memory.paging != nil }) else { return guessed }
    measurement.report("the speed of the disk that states can wait on")
    // A disk without room for the measurement is measured no better than by a guess.
    guard let rates = try? Pager.measuredRates(in: folder) else { return guessed }
    return levels(rates)
  }

  public func diskShortage(in folder: String) throws -> DiskShortage<NetworkProblem>? {
    let needed = pagedBytes(network)
    guard !Self.hasRoom(for: needed, in: folder) else { return nil }
    let networks = try [network.withWholeHead(), network.withHeadInParts()].compactMap(\.self)
    let levels = Self.best(networks.flatMap { candidates($0, MemoryCurve($0), costs: nil, rates: .guessed, in: folder, asIfRoom: true) })
    return DiskShortage(freeBytes: Self.freeBytes(in: folder), neededBytes: needed, levels: levels)
  }

  private typealias Candidate = (bytes: Int, level: MemoryLevel<NetworkProblem>)

  private func candidates(
    _ network: CompiledNetwork, _ curve: MemoryCurve, costs: [StageCost]?, rates: PagingRates, in folder: String,
    asIfRoom: Bool = false
  ) -> [Candidate] {
    let stateBytes = network.stateCount * MemoryLayout<Float>.stride
    let tiedBytes = network.tiedGradientCount * MemoryLayout<Float>.stride
    let stages = network.graph.stages.map(\.cost)
    func multiplyAdds(_ schedule: ActivationSchedule) -> Double? {
      let count = schedule.multiplyAdds(stages)
      return count > 0 ? count : nil
    }
    var candidates = curve.points.map { point in
      let memory = LaneMemory(workspaceBytes: workspaceBytes(arenaCount: point.arenaCount) + tiedBytes)
      return Candidate(
        memory.workspaceBytes + stateBytes,
        MemoryLevel(
          memory, secondsPerUpdate: point.seconds, multiplyAdds: multiplyAdds(point.schedule),
          repeatedPasses: point.schedule.repeatedPasses
        ) {
          try with(network, point.schedule, nil)
        })
    }
    guard asIfRoom || Self.hasRoom(for: pagedBytes(network), in: folder) else { return candidates }
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
            MemoryLevel(
              memory, secondsPerUpdate: residency.seconds, multiplyAdds: multiplyAdds(point.schedule),
              repeatedPasses: point.schedule.repeatedPasses
            ) {
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

  /// The bytes on disk of a lane whose state waits there.
  private func pagedBytes(_ network: CompiledNetwork) -> Int {
    (network.stateCount + network.tiedGradientCount) * MemoryLayout<Float>.stride
  }

  /// Whether the disk of a folder has room for so many bytes.
  private static func hasRoom(for bytes: Int, in folder: String) -> Bool { bytes <= freeBytes(in: folder) }

  /// The free bytes of the disk of a folder; 0 where they are not known.
  private static func freeBytes(in folder: String) -> Int {
    var disk = statvfs()
    guard statvfs(folder, &disk) == 0 else { return 0 }
    return Int(clamping: UInt64(disk.f_bavail) * UInt64(disk.f_frsize))
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
}

extension StatePaging {
  init(_ residency: StateResidency) {
    self.init(
      residentBytes: residency.byteCount, keptBytes: residency.keptByteCount, bytesRead: residency.bytesRead,
      bytesWritten: residency.bytesWritten)
  }
}
