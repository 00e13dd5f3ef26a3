/// What memory buys: for a network, the schedules of which none is both smaller and faster than another.
public struct MemoryCurve: Sendable {
  public struct Point: Sendable {
    public let schedule: ActivationSchedule
    /// Length of a workspace's arena, in floats.
    public let arenaCount: Int
    /// How long all passes of an update take by the stages' costs, in seconds.
    public let seconds: Double
  }

  /// The points from most memory to least, which is from fastest to slowest.
  public let points: [Point]

  /// - Parameter costs: the network's stages with measured times; nil for the guesses it was compiled with.
  public init(_ network: CompiledNetwork, costs: [StageCost]? = nil) {
    let graph = costs.map { network.graph.with($0) } ?? network.graph
    let whole = ActivationSchedule.keepingAll(stageCount: graph.stages.count)
    var candidates = [whole]
    // The planner does not know how blocks will lie in the arena, so many plans are made and the arenas compared.
    let all = whole.floatsInUse(graph)
    let planner = RecomputationPlanner(graph, memory: all)
    for part in 1...Self.partCount {
      if let schedule = planner.schedule(memory: all * part / Self.partCount), candidates.last != schedule {
        candidates.append(schedule)
      }
    }
    let sorted = candidates.map {
      Point(schedule: $0, arenaCount: network.arenaCount(with: $0), seconds: $0.seconds(graph.stages.map(\.cost)))
    }.sorted { ($0.seconds, $0.arenaCount) < ($1.seconds, $1.arenaCount) }
    points = sorted.reduce(into: []) { points, point in
      if point.arenaCount < points.last?.arenaCount ?? .max { points.append(point) }
    }
  }

  /// Some of the points, the first and the last among them.
  /// - Parameter count: how many, 2 or more.
  public func thinned(to count: Int) -> MemoryCurve {
    guard points.count > count else { return self }
    return MemoryCurve((0..<count).map { points[$0 * (points.count - 1) / (count - 1)] })
  }

  /// The same schedules for the same network in micro-batches of another size.
  /// - Parameter costs: its stages with measured times; nil for guesses.
  public func rescheduled(for network: CompiledNetwork, costs: [StageCost]? = nil) -> MemoryCurve {
    let costs = costs ?? network.graph.stages.map(\.cost)
    return MemoryCurve(points.map {
      Point(
        schedule: $0.schedule, arenaCount: network.arenaCount(with: $0.schedule),
        seconds: Double(network.batchSize) / Double(network.microBatchSize) * $0.schedule.seconds(costs))
    })
  }

  private init(_ points: [Point]) { self.points = points }

  private static let partCount = 200

  /// The fastest point with at most `arenaCount` floats; nil where none is so small.
  public func fastest(arenaCount: Int) -> Point? { points.first { $0.arenaCount <= arenaCount } }

  /// The fastest schedule in at most `memory` floats besides the network's input; nil where there is none.
  public static func schedule(_ graph: StageGraph, memory: Int) -> ActivationSchedule? {
    guard memory > 0 else { return nil }
    return RecomputationPlanner(graph, memory: memory).schedule(memory: memory)
  }
}
