import Formats
import Replay
import Tensors

/// What a run trains: an update map a seed, and what makes its iterates storable, comparable and findable again.
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
/// Everything must be a pure function of what it is given: the same seed, batch, position and bits give the same bits, on
/// every lane and in every process.
public protocol TrainingProblem: MemoryElastic {
  associatedtype Map: UpdateMap

  /// What it is called where runs are listed, such as `mlp:128 on digits`.
  var name: String { get }

  /// What else a reader of its runs should know, by name; shown and stored, never interpreted. Empty by default.
  var settings: [String: JSONValue] { get }

  /// Names, shapes and roles of the tensors in the training state, for exports and distances. By default one parameter
  /// called `state`.
  var layout: StateLayout { get }

  /// What is observed of every iterate; at least one. The first is the loss: it tells whether updates diverge, and curves
  /// are compared by it.
  var metrics: [Metric] { get }

  /// Digests of what it was made from, so that a replay from other data is noticed. Empty by default.
  var inputs: InputDigests { get }

  /// How many batches there are; nil, the default, where they do not end.
  var batchCount: Int? { get }

  /// Which examples its batches hold, for the batch journal; nil, the default, where batches are not made of examples.
  var batches: BatchSource? { get }

  /// What the floats of initial states are rounded to, so that they can be kept in so many bits. `float32` by default.
  var startPrecision: CheckpointPrecision { get }

  /// The updates of one seed. All seeds' maps have equally long states, and each takes any other's workspace.
  func map(seed: Int) throws -> Map

  /// Overwrites `state`, all zeros, with the initial state of a seed.
  func writeInitialState(seed: Int, to state: inout StateBuffer) throws

  /// The values of `metrics` of an iterate.
  /// - Parameters:
  ///   - state: the iterate, or a running average of iterates.
  ///   - seed: one of the run's.
  ///   - workspace: that of the map, in which an update leaves nothing.
  func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Map.Workspace) throws -> [Double]

  /// The mean loss of the examples of one batch, as an update with it sees them; nil, the default, where there is none.
  /// - Parameters:
  ///   - batch: its number, from 1.
  ///   - seed: one of the run's.
  ///   - state: it may be changed.
  ///   - workspace: that of the map, in which an update leaves nothing.
  func trainingLoss(batch: Int, seed: Int, of state: inout StateBuffer, workspace: inout Map.Workspace) -> Double?

  /// The time that `measure` takes, in seconds, told from a part of it where all of it would take longer than `seconds`.
  /// By default all of it is timed.
  func measurementSeconds(
    _ state: borrowing TrainingState, seed: Int, workspace: inout Map.Workspace, atMost seconds: Double) throws -> Double

  /// Puts files into the folder of a new run that it needs to be made again from there. By default none.
  func writeFiles(into folder: RunFolder) throws
}

/// What a problem takes in memory, and with how much less it can do. Every requirement has a default, for problems whose
/// memory is nothing beside the program's.
public protocol MemoryElastic: Sendable {
  /// Bytes that stay resident whatever is trained, such as a data set.
  var residentBytes: Int { get }

  /// Bytes of one lane's workspace.
  var workspaceBytes: Int { get }

  /// About what measuring an iterate costs, in updates.
  var observationCost: Double { get }

  /// Stages of an update whose intermediate results are kept or computed again as one.
  var stageCount: Int { get }

  /// The amounts of memory an update can do with, from most and fastest to least and slowest; at least one.
  /// - Parameter isMeasured: whether times are measured, in a few seconds; otherwise they are guessed.
  func memoryLevels(isMeasured: Bool) throws -> [MemoryLevel<Self>]
}

/// An amount of memory that an update can do with.
public struct MemoryLevel<Problem>: Sendable {
  public let workspaceBytes: Int
  public let secondsPerUpdate: Double
  /// Passes of stages that an update runs more than once.
  public let repeatedPasses: Int
  /// The problem whose updates take so much. It gives the same bits.
  public let problem: @Sendable () throws -> Problem

  public init(
    workspaceBytes: Int, secondsPerUpdate: Double, repeatedPasses: Int, problem: @escaping @Sendable () throws -> Problem
  ) {
    self.workspaceBytes = workspaceBytes
    self.secondsPerUpdate = secondsPerUpdate
    self.repeatedPasses = repeatedPasses
    self.problem = problem
  }
}

extension MemoryElastic {
  public var residentBytes: Int { 0 }
  public var workspaceBytes: Int { 0 }
  public var observationCost: Double { 1 }
  public var stageCount: Int { 1 }

  public func memoryLevels(isMeasured: Bool) -> [MemoryLevel<Self>] {
    [MemoryLevel(workspaceBytes: workspaceBytes, secondsPerUpdate: 1, repeatedPasses: 0) { self }]
  }
}

extension TrainingProblem {
  public var name: String { "\(Self.self)" }
  public var settings: [String: JSONValue] { [:] }
  public var inputs: InputDigests { InputDigests() }
  public var batchCount: Int? { nil }
  public var batches: BatchSource? { nil }
  public var startPrecision: CheckpointPrecision { .float32 }

  public func trainingLoss(batch: Int, seed: Int, of state: inout StateBuffer, workspace: inout Map.Workspace) -> Double? { nil }

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

/// Where the batches of a problem come from, as the batch journal keeps it.
public struct BatchSource: Sendable {
  public enum Method: Sendable {
    /// They follow from the seed, by the sampler of this name.
    case seeded(sampler: String)
    /// They came from elsewhere, the same for every seed, and are stored: how many there are.
    case stored(count: Int)
  }

  public let method: Method
  /// Of the data whose examples they hold.
  public let data: Digest
  public let exampleCount: Int
  /// Examples a batch.
  public let batchSize: Int
  private let fill: @Sendable (_ indices: inout [Int], _ batch: Int, _ seed: Int) throws -> Void

  /// - Parameters:
  ///   - method: whether batches follow from seeds or are stored.
  ///   - data: the digest of the data whose examples they hold.
  ///   - exampleCount: how many examples there are; indices are below it.
  ///   - batchSize: examples a batch.
  ///   - fill: overwrites indices, `batchSize` long, with the examples of a batch, counted from 1, of a seed.
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

  /// The example indices of a batch, counted from 1.
  public func indices(batch: Int, seed: Int) throws -> [Int] {
    var indices = [Int](repeating: 0, count: batchSize)
    try fill(&indices, batch, seed)
    return indices
  }
}
