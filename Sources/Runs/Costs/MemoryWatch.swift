import Formats
import Foundation
import Replay
import Synchronization
import Tensors

/// Holds a run to its memory budget while it trains: compares what the process takes with what was predicted, once
/// everything is allocated and then several times a second.
///
/// A run that takes more than its budget is stopped like an interrupted one, so that its states are stored, before the
/// kernel would end it.
struct MemoryWatch: Sendable {
  private let estimate: MemoryEstimate
  private let limit: MemoryLimit
  /// The number of lanes there will be, and of those whose workspaces have been made.
  private let lanes: Int
  private let made = LaneCount()
  /// The control group that has least room, and how much it may be charged for; nil without such limits.
  private let group: (group: MemoryGroup, bytes: Int)?

  /// Nil if the run has no memory budget.
  /// - Parameters:
  ///   - lanes: The number of lanes that will be made.
  ///   - root: The folder in which the files of control groups are looked for, for tests.
  init?(_ estimate: MemoryEstimate, limit: MemoryLimit?, lanes: Int, root: String = "") {
    guard let limit else { return nil }
    self.estimate = estimate
    self.limit = limit
    self.lanes = lanes
    group = MemoryGroup.ofThisProcess(root: root).compactMap { group in group.limit.map { (group, $0.bytes) } }
      .min { $0.1 < $1.1 }
  }

  /// Runs `body`, and stops it as a cancelled task if the process takes more than the budget, or would before the next look.
  /// - Throws: `MemoryBreach` once `body` has ended, and the errors of `body`.
  func during<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
    do {
      return try await watched(body)
    } catch var breach as MemoryBreach {
      // A lane that was being made has been made meanwhile.
      breach.peak = ResidentMemory.peakBytes
      throw breach
    }
  }

  private func watched<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { tasks in
      tasks.addTask { try await body() }
      tasks.addTask {
        var before: Int?
        // A cancelled sleep means that the body has ended or is being stopped.
        while (try? await Task.sleep(for: Self.interval)) != nil {
          let resident = ResidentMemory.Sizes()
          // What is not more than predicted has its place in the budget, however fast it grows, and lanes grow while they are made.
          let growth = max(0, resident.current - max(before ?? resident.current, estimate.peakBytes))
          try check(resident, growth: growth)
          if made.count == lanes { before = resident.current }
        }
        return nil
      }
      defer { tasks.cancelAll() }
      for try await value in tasks {
        if let value { return value }
      }
      throw CancellationError()
    }
  }

  /// The time between two looks. A look takes some tens of microseconds.
  private static let interval = Duration.milliseconds(50)

  /// Call this on each lane once its state and its workspace are made. Slots and averages are made before.
  /// - Throws: `MemoryBreach` if what is allocated, and what the estimate says of the rest, exceeds the budget.
  func laneIsMade() throws(MemoryBreach) {
    // What the other lanes have allocated by now is not known, so what comes later counts only once all are there.
    try check(ResidentMemory.Sizes(), growth: made.countUp() == lanes ? estimate.bytesOnceTraining : 0)
  }

  /// - Parameter growth: The bytes that are expected to be taken besides.
  /// - Throws: `MemoryBreach` if what is taken now, with `growth`, exceeds the budget.
  private func check(_ resident: ResidentMemory.Sizes, growth: Int) throws(MemoryBreach) {
    func breach(_ taken: Int, _ what: MemoryBreach.Kind) -> MemoryBreach {
      MemoryBreach(
        taken: taken, growth: growth, peak: resident.peak, lanes: made.count == lanes ? lanes : 1, what: what, estimate: estimate,
        limit: limit)
    }
    guard resident.peak <= limit.bytes else { throw breach(resident.peak, .resident) }
    // What storing the states takes is left to stop in, and a part of the margin, all of which the estimate may have been too low by.
    guard resident.current + growth + estimate.bytesToStop <= limit.bytes - MemoryLimit.margin(limit.bytes) / 4 else {
      throw breach(resident.current, .resident)
    }
    guard let group else { return }
    let most = group.bytes - MemoryLimit.margin(group.bytes) / 2 - growth - estimate.bytesToStop
    // Reading what a group is charged for is cheap; finding out how much of it is page cache is not.
    guard let charged = group.group.chargedBytes, charged > most, let account = group.group.accountBytes, account > most else { return }
    throw breach(account, .charged(group.group, of: group.bytes))
  }
}

/// A number of lanes, each of which adds itself.
private final class LaneCount: Sendable {
  private let lanes = Atomic<Int>(0)

  var count: Int { lanes.load(ordering: .relaxed) }

  /// Returns how many there are now.
  func countUp() -> Int { lanes.add(1, ordering: .relaxed).newValue }
}

/// A training that took more memory than its budget, or was about to.
struct MemoryBreach: Error {
  enum Kind: Sendable {
    /// The resident size of the process.
    case resident
    /// The charge of a control group that may be charged so many bytes.
    case charged(MemoryGroup, of: Int)
  }

  /// What was taken in bytes, and what was expected to be taken besides.
  let taken: Int
  let growth: Int
  /// The largest resident size until the run had stopped.
  fileprivate(set) var peak: Int
  /// The number of lanes that is certain to have been there.
  let lanes: Int
  let what: Kind
  let estimate: MemoryEstimate
  let limit: MemoryLimit

  /// The error for users, for a run whose states are stored.
  func error(run: String) -> RunError {
    let expected = growth > 0 ? " and would soon take \(mebibytes(growth)) more" : ""
    let measured =
      switch what {
      case .resident: "took \(mebibytes(taken))\(expected)"
      case .charged(let group, let bytes):
        "had the control group \(group.path) charged for \(mebibytes(taken)) of the \(mebibytes(bytes)) there are\(expected)"
      }
    // A run that was found out before its first update needs what it took and what comes later. One that grows may need more.
    let needed = MemoryLimit.least(for: max(max(taken, peak) + max(growth, estimate.bytesOnceTraining) + estimate.bytesToStop, estimate.neededBytes))
    return .impossible(
      """
      \(run) was stopped, and its states are stored: it \(measured), but its `memory-budget` is \(mebibytes(limit.bytes)) and \
      \(mebibytes(estimate.neededBytes)) were predicted: \(estimate.words(of: estimate.terms.count)). Go on with 'backtrail resume \
      \(run)', `memory-budget` \(mebibytes(needed)) or more, and at most \(lanes) `lanes`
      """)
  }
}

/// An update map whose lanes are counted by a watch as they are made.
struct WatchedMap<Map: UpdateMap>: UpdateMap {
  let map: Map
  /// Nil without a memory budget.
  let watch: MemoryWatch?

  var stateCount: Int { map.stateCount }
  var numberCount: Int { map.numberCount }

  func makeWorkspace() throws -> Map.Workspace {
    let workspace = try map.makeWorkspace()
    try watch?.laneIsMade()
    return workspace
  }

  func makeState() throws -> StateBuffer { try map.makeState() }

  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Map.Workspace) throws {
    try map.apply(batch: batch, position: position, to: &state, workspace: &workspace)
  }

  func applyMeasuringLoss(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Map.Workspace) throws -> Double? {
    try map.applyMeasuringLoss(batch: batch, position: position, to: &state, workspace: &workspace)
  }
}
