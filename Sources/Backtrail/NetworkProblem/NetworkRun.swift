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
  ///   - initial: The tensors that the configuration's `initial` names, if it is given.
  ///   - batches: The batches of a sampler `file:PATH`; nil to read them from the file.
  ///   - dataset: The configuration's data set if it has been read before.
  ///   - orderTexts: The contents of order files, by path. Files that are not among them are read.
  public init(
    _ configuration: RunConfiguration, initial: InitialTensors? = nil, batches: ImportedBatches? = nil, dataset: Dataset? = nil,
    orderTexts: [String: String] = [:]
  ) throws {
    let workload = try configuration.workload(orderTexts: orderTexts)
    try self.init(
      NetworkProblem(configuration, initial: initial, batches: batches, dataset: dataset), workload, budgets: configuration.budgets)
  }
}

extension Run where Problem == NetworkProblem {
  /// Opens a run that was made from settings: reads its data again and checks that it is unchanged.
  /// - Parameters:
  ///   - steps: A new N, not below the run's; nil for the run's own.
  ///   - lanes: A new number of lanes; nil for the run's own.
  ///   - memoryBudget: A new memory budget; nil for the run's own. An automatic one is found out anew.
  ///   - allowNumericsChange: Whether different numerics, and so different bits, are accepted.
  ///   - repairs: Whether a damaged journal is tolerated if its batches follow from seeds.
  public static func open(
    _ path: String, steps: Int? = nil, lanes: Int? = nil, memoryBudget: MemoryBudget? = nil, allowNumericsChange: Bool = false,
    repairs: Bool = false
  ) throws -> NetworkRun {
    try open(
      path, steps: steps, lanes: lanes, memory: memoryBudget, allowNumericsChange: allowNumericsChange, repairs: repairs,
      making: NetworkProblem.init)
  }

  /// Verifies a run that was made from settings.
  public static func verify(
    _ path: String, replays: Int, repairs: Bool, allowNumericsChange: Bool = false, progress: ReplayProgress = ReplayProgress()
  ) async throws -> VerificationReport {
    try await verify(
      path, replays: replays, repairs: repairs, allowNumericsChange: allowNumericsChange, progress: progress,
      making: NetworkProblem.init)
  }

  /// The configuration that makes this run again.
  /// - Throws: `RunError.impossible` if settings do not describe the run's network.
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
  /// Reads an order as it is given to a command. For an order file that the run has, the content is the run's copy.
  public func order(_ specification: String) throws -> CompositionOrder {
    guard let path = OrderFile.path(in: specification) else { return try CompositionOrder(specification) }
    // Runs store absolute paths.
    let absolute = URL(fileURLWithPath: path).standardizedFileURL.path
    let known = self.specification.selection.orders.first { $0.file == absolute }
    return try known ?? CompositionOrder("file:" + absolute, texts: [absolute: readOrderFile(absolute)])
  }

}
