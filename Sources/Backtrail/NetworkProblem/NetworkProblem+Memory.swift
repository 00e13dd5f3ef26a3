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

  /// The network for whole batches, with all of its logits at once.
  var wholeNetwork: CompiledNetwork {
    get throws(NetworkError) { try network.withMicroBatches(of: network.batchSize).withWholeHead() }
  }

  /// The memory levels: a batch is whole or in micro-batches, activations are kept or recomputed stage by stage, and states are in
  /// memory, or a part of them is, so that no level takes both more time and more memory than another.
  public func memoryLevels(measuring measurement: TimeMeasurement?, in folder: String) throws -> [MemoryLevel<NetworkProblem>] {
    let curves = try curves(try measurement.map { try measuredCosts($0, in: folder) })
    func levels(_ rates: PagingRates) -> [MemoryLevel<NetworkProblem>] {
      Self.best(curves.flatMap { candidates($0, rates: rates, in: folder) })
    }
    let guessed = levels(.guessed)
    guard let measurement, guessed.contains(where: { $0.memory.paging != nil }) else { return try withRoomyEvaluation(guessed) }
    measurement.report("the speed of the disk that states can wait on")
    // A disk without room for the measurement is measured no better than by a guess.
    guard let rates = try? Pager.measuredRates(in: folder) else { return try withRoomyEvaluation(guessed) }
    return try withRoomyEvaluation(levels(rates))
  }

  /// The levels, and before them the fastest with more memory for evaluations where that makes them faster.
  private func withRoomyEvaluation(_ levels: [MemoryLevel<NetworkProblem>]) throws -> [MemoryLevel<NetworkProblem>] {
    guard let fastest = levels.first, fastest.memory.paging == nil else { return levels }
    var problem = try fastest.problem()
    problem.evaluator = try evaluator.fitted(arenaCount: problem.network.arenaCount, isRoomy: true)
    guard problem.workspaceBytes > fastest.memory.workspaceBytes else { return levels }
    let roomy = MemoryLevel(
      problem.laneMemory, secondsPerUpdate: fastest.secondsPerUpdate, multiplyAdds: fastest.multiplyAdds,
      repeatedPasses: fastest.repeatedPasses, microBatches: fastest.microBatches) { [problem] in problem }
    return [roomy] + levels
  }

  public func diskShortage(in folder: String) throws -> DiskShortage<NetworkProblem>? {
    let needed = pagedBytes(network)
    guard !Self.hasRoom(for: needed, in: folder) else { return nil }
    let levels = Self.best(try curves(nil).flatMap { candidates($0, rates: .guessed, in: folder, asIfRoom: true) })
    return DiskShortage(freeBytes: Self.freeBytes(in: folder), neededBytes: needed, levels: levels)
  }

  /// A network that gives the bits of the problem's own, with the schedules for its updates and the costs of its stages.
  private struct NetworkCurve {
    let network: CompiledNetwork
    let curve: MemoryCurve
    /// Nil where they are guessed.
    let costs: [StageCost]?
  }

  /// The network with its head whole and in parts, each for whole batches and for micro-batches of half as many examples, a quarter, and
  /// so on.
  /// - Parameter measured: the costs of the whole network's stages; nil for the guessed ones.
  private func curves(_ measured: [StageCost]?) throws -> [NetworkCurve] {
    let whole = try wholeNetwork
    var curves: [NetworkCurve] = []
    // A head in parts takes less memory and one product more.
    for network in try [whole, whole.withHeadInParts()].compactMap(\.self) {
      let costs = measured.map { network.costs(measured: $0, on: whole) }
      let curve = MemoryCurve(network, costs: costs)
      curves.append(NetworkCurve(network: network, curve: curve, costs: costs))
      guard case .multiples(let unit) = network.batchParts else { continue }
      let few = curve.thinned(to: Self.partedPoints)
      var size = network.batchSize
      while size > unit {
        // The largest multiple of the unit up to the half, or the unit itself.
        size = max(unit, (size + 1) / 2 / unit * unit)
        let parted = try network.withMicroBatches(of: size)
        let costs = measured.map { parted.costs(measured: $0, on: whole) }
        curves.append(NetworkCurve(network: parted, curve: few.rescheduled(for: parted, costs: costs), costs: costs))
      }
    }
    return curves
  }

  private typealias Candidate = (bytes: Int, level: MemoryLevel<NetworkProblem>)

  private func candidates(
    _ choice: NetworkCurve, rates: PagingRates, in folder: String, asIfRoom: Bool = false
  ) -> [Candidate] {
    let (network, points) = (choice.network, choice.curve.points)
    let stateBytes = network.stateCount * MemoryLayout<Float>.stride
    let stages = network.graph.stages.map(\.cost)
    func level(_ point: MemoryCurve.Point, seconds: Double, _ pages: StatePages?) -> MemoryLevel<NetworkProblem> {
      let memory = LaneMemory(
        workspaceBytes: workspaceBytes(network, arenaCount: point.arenaCount, isPaged: pages != nil),
        paging: pages.map { StatePaging($0.residency) })
      let multiplyAdds = point.schedule.multiplyAdds(stages) * Double(network.batchSize) / Double(network.microBatchSize)
      return MemoryLevel(
        memory, secondsPerUpdate: seconds, multiplyAdds: multiplyAdds > 0 ? multiplyAdds : nil,
        repeatedPasses: network.microBatchCount * point.schedule.repeatedPasses, microBatches: network.microBatchCount
      ) { try with(network, point.schedule, pages) }
    }
    var candidates = points.map { point in
      let level = level(point, seconds: point.seconds, nil)
      return Candidate(level.memory.workspaceBytes + stateBytes, level)
    }
    guard asIfRoom || Self.hasRoom(for: pagedBytes(network), in: folder) else { return candidates }
    for index in Set(stride(from: 0, to: points.count, by: max(1, points.count / Self.pagedPoints)) + [points.count - 1]) {
      let point = points[index]
      for residency in network.residencies(point.schedule, costs: choice.costs, rates: rates) where residency.byteCount < stateBytes {
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

  /// The bytes on disk of a lane whose state waits there.
  private func pagedBytes(_ network: CompiledNetwork) -> Int {
    (network.stateCount + network.gradientCount) * MemoryLayout<Float>.stride
  }

  /// Whether the disk of a folder has room for so many bytes.
  private static func hasRoom(for bytes: Int, in folder: String) -> Bool { bytes <= freeBytes(in: folder) }

  /// The free bytes of the disk of a folder; 0 where they are not known.
  private static func freeBytes(in folder: String) -> Int {
    var disk = statvfs()
    guard statvfs(folder, &disk) == 0 else { return 0 }
    return Int(clamping: UInt64(disk.f_bavail) * UInt64(disk.f_frsize))
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
}

extension StatePaging {
  init(_ residency: StateResidency) {
    self.init(
      residentBytes: residency.byteCount, keptBytes: residency.keptByteCount, bytesRead: residency.bytesRead,
      bytesWritten: residency.bytesWritten)
  }
}
