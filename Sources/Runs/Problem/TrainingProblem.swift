import Formats
import Replay
import Tensors

/// What a run trains: one update map per seed, and what makes its iterates storable, comparable and findable again.
///
/// A problem without a network, complete:
///
///     /// The mean of a stream of numbers by SGD: θ ↦ θ + η (x_j − θ).
///     struct Mean: UpdateMap, TrainingProblem {
///       let stateCount = 1
///       let metrics = [Metric("distance")]
///       func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
///         state[0] += 0.1 * (Float(batch % 7) - state[0])
///       }
///       func writeInitialState(seed: Int, to state: inout StateBuffer) { state[0] = Float(seed) }
///       func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] {
///         [abs(Double(state.values[0]) - 3)]
///       }
///     }
///
/// Every requirement must be a pure function of its arguments: the same seed, batch, position and bits give the same
/// bits, on every lane and in every process.
public protocol TrainingProblem: MemoryElastic {
  associatedtype Map: UpdateMap

  /// The name of the problem in lists of runs, such as `mlp:128 on digits`.
  var name: String { get }

  /// Further settings that a reader of its runs should know, by name. They are shown and stored, never interpreted.
  /// Empty by default.
  var settings: [String: JSONValue] { get }

  /// What makes the problem again from its settings, for programs that read folders of several kinds of problem; by default the
  /// name of its type.
  var kind: String { get }

  /// The names, shapes and roles of the tensors in the training state, for exports and distances. By default the
  /// whole state is one parameter called `state`.
  var layout: StateLayout { get }

  /// The metrics observed of every iterate; at least one. The first is the loss: it shows whether updates diverge,
  /// and curves are compared by it.
  var metrics: [Metric] { get }

  /// Digests of the inputs the problem was made from, so that a replay from other data is noticed. Empty by default.
  var inputs: InputDigests { get }

  /// What bits depend on besides the configuration and Backtrail's own kernels, such as a library's name and version; nil, the
  /// default, if there is nothing. It is part of the numerics fingerprint.
  var numerics: String? { get }

  /// The number of batches; nil, the default, if there is no end of them.
  var batchCount: Int? { get }

  /// The examples in each batch, for the batch journal; nil, the default, if batches are not made of examples.
  var batches: BatchSource? { get }

  /// The precision that the floats of initial states are rounded to, so that 16 bits per float suffice to keep them.
  /// `float32`, the default, rounds nothing.
  var startPrecision: CheckpointPrecision { get }

  /// The update map of one seed. The states of all seeds have the same length, and a workspace of one seed's map
  /// serves all.
  func map(seed: Int) throws -> Map

  /// Overwrites `state`, which is all zeros, with the initial state of a seed.
  func writeInitialState(seed: Int, to state: inout StateBuffer) throws

  /// Overwrites `state`, which is all zeros, with values on which updates take as long as on a real state, for measurements of
  /// time. By default with the initial state of seed 0.
  func writeTrialState(to state: inout StateBuffer) throws

  /// Measures an iterate.
  /// - Returns: The values of `metrics`, in their order.
  /// - Parameter workspace: The workspace of the update map. Updates must not depend on what is left in it.
  func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Map.Workspace) throws -> [Double]

  /// The mean loss over the examples of one batch, computed as an update with this batch would; nil, the default, if
  /// there is none.
  /// - Parameter state: The state, which may be changed.
  func trainingLoss(batch: Int, seed: Int, of state: inout StateBuffer, workspace: inout Map.Workspace) throws -> Double?

  /// The time in seconds that `measure` takes. It may be extrapolated from a part of the work if all of it would take
  /// longer than `seconds`. The default times the whole.
  func measurementSeconds(
    _ state: borrowing TrainingState, seed: Int, workspace: inout Map.Workspace, atMost seconds: Double) throws -> Double

  /// Writes the files that the problem needs for being made again from the folder of a new run. By default there are
  /// none.
  func writeFiles(into folder: RunFolder) throws
}

/// The memory that a problem takes, and how it can do with less. Every requirement has a default, for problems whose
/// memory is negligible.
public protocol MemoryElastic: Sendable {
  /// The size in bytes of what stays resident whatever is trained, such as a data set.
  var residentBytes: Int { get }

  /// The size in bytes of one lane's workspace.
  var workspaceBytes: Int { get }

  /// The way its states are paged; nil, the default, if they are in memory.
  var paging: StatePaging? { get }

  /// The approximate cost of measuring an iterate, in updates.
  var observationCost: Double { get }

  /// The number of stages of an update, each of whose intermediate results are kept or recomputed together.
  var stageCount: Int { get }

  /// The reason why an update can't process its batch in parts, a sentence without its full stop; nil, the default, if it can or
  /// the question does not arise.
  var wholeBatchReason: String? { get }

  /// The amounts of memory an update can work with, from fastest to slowest; at least one.
  /// - Parameters:
  ///   - measurement: How times are measured, which takes a few seconds; nil if they are guessed.
  ///   - folder: Where states can wait that are not in memory.
  func memoryLevels(measuring measurement: TimeMeasurement?, in folder: String) throws -> [MemoryLevel<Self>]

  /// What keeps states from waiting on the disk of `folder`, if it is the disk's free space; nil, the default, if it is not.
  func diskShortage(in folder: String) throws -> DiskShortage<Self>?

  /// A problem whose updates and observations are a small part of this one's, for measurements of what lanes do to each other, of
  /// observations and of storage; nil, the default, if this one is measured itself.
  /// - Parameter seconds: The time of an update.
  func sample(ofUpdate seconds: Double) throws -> ProblemSample<Self>?

  /// Changes of settings that could make workspaces smaller, for advice where a budget is too small. None by default.
  func variationsWithLessMemory() throws -> [ProblemVariation<Self>]
}

/// A disk without room for what would wait on it, so that less memory would do.
public struct DiskShortage<Problem>: Sendable {
  public let freeBytes: Int
  /// What a lane needs.
  public let neededBytes: Int
  /// The memory levels that there would be with room.
  public let levels: [MemoryLevel<Problem>]

  public init(freeBytes: Int, neededBytes: Int, levels: [MemoryLevel<Problem>]) {
    self.freeBytes = freeBytes
    self.neededBytes = neededBytes
    self.levels = levels
  }
}

/// A measurement of times.
public struct TimeMeasurement: Sendable {
  /// The size in bytes of the states and workspaces that may be made for it; nil for what the system has.
  public var memory: Int?
  /// Called with what is measured next, in words that follow "measuring".
  public let report: @Sendable (String) -> Void

  public init(memory: Int? = nil, report: @escaping @Sendable (String) -> Void = { _ in }) {
    self.memory = memory
    self.report = report
  }
}

/// A problem that stands for a larger one in measurements: its updates and observations are made of the same kinds of work.
public struct ProblemSample<Problem>: Sendable where Problem: Sendable {
  public let problem: Problem
  /// How many times as long as the sample's observation the larger problem's is.
  public let observationFactor: Double
  /// What the larger problem's observation takes besides, in its updates.
  public let observationUpdates: Double

  public init(_ problem: Problem, observationFactor: Double, observationUpdates: Double = 0) {
    self.problem = problem
    self.observationFactor = observationFactor
    self.observationUpdates = observationUpdates
  }
}

/// A problem with another setting, and so with other bits.
public struct ProblemVariation<Problem: Sendable>: Sendable {
  /// The setting in backquotes and its value, such as batch-size in backquotes and then 16.
  public let change: String
  /// The problem with this setting, as far as its memory is concerned. It is not trained.
  public let problem: Problem

  public init(_ change: String, _ problem: Problem) {
    self.change = change
    self.problem = problem
  }
}

/// States that wait in files and are in memory only where an update works on them, or what it keeps of them.
public struct StatePaging: Hashable, Sendable {
  /// The most bytes of a lane's state that are in memory at once.
  public let residentBytes: Int
  /// The part of them that is always in memory.
  public let keptBytes: Int
  /// The bytes that an update reads from the file of its lane's state.
  public let bytesRead: Int
  /// The bytes that it writes to it.
  public let bytesWritten: Int

  public init(residentBytes: Int, keptBytes: Int, bytesRead: Int, bytesWritten: Int) {
    self.residentBytes = residentBytes
    self.keptBytes = keptBytes
    self.bytesRead = bytesRead
    self.bytesWritten = bytesWritten
  }
}

/// The memory that a lane's updates take.
public struct LaneMemory: Hashable, Sendable {
  public let workspaceBytes: Int
  /// The way states are paged; nil if they are in memory.
  public let paging: StatePaging?

  public init(workspaceBytes: Int, paging: StatePaging? = nil) {
    self.workspaceBytes = workspaceBytes
    self.paging = paging
  }
}

/// An amount of memory that an update can work with.
public struct MemoryLevel<Problem>: Sendable {
  public let memory: LaneMemory
  /// The time of an update: measured, or guessed if nothing was measured.
  public let secondsPerUpdate: Double
  /// The multiply-adds of an update's products; nil if they are not known.
  public let multiplyAdds: Double?
  /// The number of passes of stages that an update runs more than once.
  public let repeatedPasses: Int
  /// The number of parts in which a batch is processed, one after the other.
  public let microBatches: Int
  /// The problem whose updates use this amount. It gives the same bits.
  public let problem: @Sendable () throws -> Problem

  public init(
    _ memory: LaneMemory, secondsPerUpdate: Double, multiplyAdds: Double? = nil, repeatedPasses: Int, microBatches: Int = 1,
    problem: @escaping @Sendable () throws -> Problem
  ) {
    self.memory = memory
    self.secondsPerUpdate = secondsPerUpdate
    self.multiplyAdds = multiplyAdds
    self.repeatedPasses = repeatedPasses
    self.microBatches = microBatches
    self.problem = problem
  }
}

extension MemoryElastic {
  public var residentBytes: Int { 0 }
  public var workspaceBytes: Int { 0 }
  public var paging: StatePaging? { nil }
  public var observationCost: Double { 1 }
  public var stageCount: Int { 1 }
  public var wholeBatchReason: String? { nil }

  /// The memory of a lane.
  public var laneMemory: LaneMemory { LaneMemory(workspaceBytes: workspaceBytes, paging: paging) }

  public func variationsWithLessMemory() -> [ProblemVariation<Self>] { [] }

  public func memoryLevels(measuring measurement: TimeMeasurement?, in folder: String) -> [MemoryLevel<Self>] {
    [MemoryLevel(laneMemory, secondsPerUpdate: 1, repeatedPasses: 0) { self }]
  }

  public func sample(ofUpdate seconds: Double) -> ProblemSample<Self>? { nil }
  public func diskShortage(in folder: String) -> DiskShortage<Self>? { nil }
}

extension TrainingProblem {
  public var name: String { "\(Self.self)" }
  public var settings: [String: JSONValue] { [:] }
  public var kind: String { "\(Self.self)" }
  public var inputs: InputDigests { InputDigests() }
  public var numerics: String? { nil }
  public var batchCount: Int? { nil }
  public var batches: BatchSource? { nil }
  public var startPrecision: CheckpointPrecision { .float32 }

  public func writeTrialState(to state: inout StateBuffer) throws { try writeInitialState(seed: 0, to: &state) }

  public func trainingLoss(batch: Int, seed: Int, of state: inout StateBuffer, workspace: inout Map.Workspace) throws -> Double? { nil }

  public func measurementSeconds(
    _ state: borrowing TrainingState, seed: Int, workspace: inout Map.Workspace, atMost seconds: Double
  ) throws -> Double {
    let begin = ContinuousClock.now
    _ = try measure(state, seed: seed, workspace: &workspace)
    return (.now - begin) / .seconds(1)
  }

  public func writeFiles(into folder: RunFolder) throws {}
}

/// A problem that is its own update map, the same for every seed.
extension TrainingProblem where Self: UpdateMap, Map == Self {
  public func map(seed: Int) -> Self { self }

  public var layout: StateLayout {
    var layout = StateLayout()
    _ = layout.add("state", shape: [stateCount], role: .parameter, storage: .rowMajor, initialization: .constant(0))
    return layout
  }
}

/// The source of a problem's batches, as the batch journal records it.
public struct BatchSource: Sendable {
  public enum Method: Sendable {
    /// Batches follow from the seed, by the sampler of this name.
    case seeded(sampler: String)
    /// Batches come from elsewhere, are the same for every seed, and are stored; `count` is their number.
    case stored(count: Int)
  }

  public let method: Method
  /// Digest of the data whose examples the batches hold.
  public let data: Digest
  public let exampleCount: Int
  /// The number of examples per batch.
  public let batchSize: Int
  private let fill: @Sendable (_ indices: inout [Int], _ batch: Int, _ seed: Int) throws -> Void

  /// - Parameter fill: Overwrites `indices`, which has `batchSize` elements, with the examples of a seed's batch;
  ///   batches count from 1.
  public init(
    method: Method, data: Digest, exampleCount: Int, batchSize: Int,
    fill: @escaping @Sendable (_ indices: inout [Int], _ batch: Int, _ seed: Int) throws -> Void
  ) {
    self.method = method
    self.data = data
    self.exampleCount = exampleCount
    self.batchSize = batchSize
    self.fill = fill
  }

  /// The example indices of a batch. Batches count from 1.
  public func indices(batch: Int, seed: Int) throws -> [Int] {
    var indices = [Int](repeating: 0, count: batchSize)
    try fill(&indices, batch, seed)
    return indices
  }
}
