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
    let stages = costs ?? network.stageCosts
    var candidates = [ActivationSchedule.keepingAll(stageCount: stages.count)]
    // The planner does not know how blocks will lie in the arena, so many plans are made and the arenas compared.
    let all = stages.reduce(0) { $0 + $1.savedCount + $1.outputCount }
      + 2 * stages.reduce(0) { max($0, $1.inputCount, $1.outputCount, $1.forwardScratchCount, $1.backwardScratchCount) }
    let planner = RecomputationPlanner(stages, memory: all)
    for part in 1...Self.partCount {
      if let schedule = planner.schedule(memory: all * part / Self.partCount), candidates.last != schedule {
        candidates.append(schedule)
      }
    }
    let sorted = candidates.map {
      Point(schedule: $0, arenaCount: network.arenaCount(with: $0), seconds: $0.seconds(stages))
    }.sorted { ($0.seconds, $0.arenaCount) < ($1.seconds, $1.arenaCount) }
    points = sorted.reduce(into: []) { points, point in
      if point.arenaCount < points.last?.arenaCount ?? .max { points.append(point) }
    }
  }

  private static let partCount = 200

  /// The fastest point with at most `arenaCount` floats; nil where none is so small.
  public func fastest(arenaCount: Int) -> Point? { points.first { $0.arenaCount <= arenaCount } }

  /// The fastest schedule for a chain of stages in at most `memory` floats besides its input; nil where there is none.
  public static func schedule(_ stages: [StageCost], memory: Int) -> ActivationSchedule? {
    guard memory > 0 else { return nil }
    return RecomputationPlanner(stages, memory: memory).schedule(memory: memory)
  }
}
