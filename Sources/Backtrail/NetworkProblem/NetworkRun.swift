import Datasets
import Formats
import Foundation
import Networks
import Replay
import Runs
import Tensors

/// A run of a network.
public typealias NetworkRun = Run<NetworkProblem>

extension RunSpecification where Problem == NetworkProblem {
  /// Reads the data set and the files that samplers and orders name.
  /// - Parameters:
  ///   - initial: what the configuration's `initial` names, if it names something.
  ///   - batches: the batches of a sampler `file:PATH`, where they need not be read from the file.
  ///   - dataset: the configuration's data, where it has been read before.
  ///   - orderTexts: what order files hold, by path, where they need not be read.
  public init(
    _ configuration: RunConfiguration, initial: [NamedTensor]? = nil, batches: ImportedBatches? = nil, dataset: Dataset? = nil,
    orderTexts: [String: String] = [:]
  ) throws {
    let workload = try configuration.workload(orderTexts: orderTexts)
    try self.init(
      NetworkProblem(configuration, initial: initial, batches: batches, dataset: dataset), workload, budgets: configuration.budgets)
  }
}

extension Run where Problem == NetworkProblem {
  /// Opens a run that was made by settings: reads its data again and checks that it is what it was.
  /// - Parameters:
  ///   - steps: a new N, not below the run's; nil for the run's own.
  ///   - lanes: a new number of lanes; nil for the run's own.
  ///   - memoryBudget: a new budget; nil for the run's own.
  ///   - allowNumericsChange: whether other numerics, and so other bits, are accepted.
  ///   - repairs: whether a damaged journal is no obstacle where its batches follow from seeds.
  public static func open(
    _ path: String, steps: Int? = nil, lanes: Int? = nil, memoryBudget: ByteCount? = nil, allowNumericsChange: Bool = false,
    repairs: Bool = false
  ) throws -> NetworkRun {
    try open(
      path, steps: steps, lanes: lanes, memory: memoryBudget, allowNumericsChange: allowNumericsChange, repairs: repairs,
      making: NetworkProblem.init)
  }

  /// Verifies a run that was made by settings.
  public static func verify(
    _ path: String, replays: Int, repairs: Bool, allowNumericsChange: Bool = false, progress: ReplayProgress = ReplayProgress()
  ) async throws -> VerificationReport {
    try await verify(
      path, replays: replays, repairs: repairs, allowNumericsChange: allowNumericsChange, progress: progress,
      making: NetworkProblem.init)
  }

  /// The settings that make this run again.
  /// - Throws: `RunError.impossible` where its network is none that settings describe.
  public var configuration: RunConfiguration {
    get throws {
      guard let configuration = try RunConfiguration(description, of: folder.path) else {
        throw RunError.impossible("\(folder.path) is a run of \(problem.name), which no settings describe")
      }
      return configuration
    }
  }
}

extension StoredRun {
  /// The settings that make this run again; nil where its problem is none that settings describe.
  public var configuration: RunConfiguration? { try? RunConfiguration(description, of: run) }
}

extension Run {
  /// Reads an order as a command is given it. One that the run has is the run's: of a file's order, what it held then.
  public func order(_ specification: String) throws -> CompositionOrder {
    guard let path = OrderFile.path(in: specification) else { return try CompositionOrder(specification) }
    // As runs keep paths.
    let absolute = URL(fileURLWithPath: path).standardizedFileURL.path
    let known = self.specification.selection.orders.first { $0.file == absolute }
    return try known ?? CompositionOrder("file:" + absolute, texts: [absolute: readOrderFile(absolute)])
  }

}
