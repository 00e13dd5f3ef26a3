import Formats
import Foundation
import Replay
import Tensors

/// What a run was made from, as its folder keeps it: enough to show the run, and to check what is stored, without the code of its
/// problem.
public struct RunDescription: Codable, Sendable {
  public let problem: ProblemDescription
  public let workload: WorkloadDescription
  public let budgets: Budgets
  public let inputs: InputDigests
  /// Whether the run has copies of its order files; runs of the first release have none.
  let keepsOrders: Bool?
}

/// A problem, as a run's folder keeps it.
public struct ProblemDescription: Codable, Sendable {
  public let name: String
  /// By name.
  public let settings: [String: JSONValue]
  public let metrics: [Metric]
  /// Whether its batches are in the journal.
  let hasJournal: Bool
}

extension ProblemDescription {
  private enum CodingKeys: String, CodingKey { case name, settings, metrics, hasJournal }

  public init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: CodingKeys.self)
    name = try stored.decode(String.self, forKey: .name)
    settings = try stored.decode([String: JSONValue].self, forKey: .settings)
    metrics = try stored.decode([Metric].self, forKey: .metrics)
    hasJournal = try stored.decode(Bool.self, forKey: .hasJournal)
    do { try Metric.check(metrics) } catch { throw RunError.damaged("its metrics can't be right: \(error)") }
  }
}

/// A workload in the words of its specifications.
public struct WorkloadDescription: Codable, Sendable {
  /// Each with a schedule of its own after an @, or without.
  public let orders: [String]
  public let steps: Int
  /// The schedule of orders without their own.
  public let evaluate: String
  public let seed: Int
  public let seedCount: Int
  public let averages: [String]
  public let tolerance: Double
  public let costBudget: CostBudget?

  public var seeds: Range<Int> { seed..<seed + seedCount }

  /// The paths of the files of orders `file:PATH`, each with its order's place.
  var orderFiles: [(place: Int, path: String)] {
    orders.enumerated().compactMap { place, order in
      OrderFile.path(in: ObservedOrder.parts(of: order).order).map { (place, $0) }
    }
  }

  /// Series in the order their orders were asked for, forward's averages behind forward, then those that automatic orders looked at.
  public func sorted(_ series: [Series]) -> [Series] {
    let asked = orders.map { ObservedOrder.parts(of: $0).order }
    func rank(_ series: Series) -> Int { asked.firstIndex(of: (series.order ?? .forward).description) ?? asked.count }
    return series.map { (rank($0), $0.description, $0) }
      .sorted { ($0.0, $0.1.count, $0.1) < ($1.0, $1.1.count, $1.1) }.map(\.2)
  }

  /// The series of what was asked for, as far as they have names yet.
  var askedSeries: [Series] {
    orders.compactMap { Series(ObservedOrder.parts(of: $0).order) } + averages.compactMap { try? .average(AverageRule($0)) }
  }
}

extension WorkloadDescription {
  private enum CodingKeys: String, CodingKey { case orders, steps, evaluate, seed, seedCount, averages, tolerance, costBudget }

  /// Reads what a run stored. Numbers that no run has are refused here, so that nobody else needs to look at them.
  public init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: CodingKeys.self)
    func whole(_ key: CodingKeys, in range: ClosedRange<Int>) throws -> Int {
      let number = try stored.decode(Int.self, forKey: key)
      guard range.contains(number) else {
        throw RunError.damaged("its \(key.stringValue) is \(number), but must be from \(range.lowerBound) to \(range.upperBound)")
      }
      return number
    }
    orders = try stored.decode([String].self, forKey: .orders)
    steps = try whole(.steps, in: 1...Workload.mostSteps)
    evaluate = try stored.decode(String.self, forKey: .evaluate)
    seed = try whole(.seed, in: 0...Int.max - 1_000_000)
    seedCount = try whole(.seedCount, in: 1...10_000)
    averages = try stored.decode([String].self, forKey: .averages)
    tolerance = try stored.decode(Double.self, forKey: .tolerance)
    costBudget = try stored.decodeIfPresent(CostBudget.self, forKey: .costBudget)
  }

  init(_ workload: Workload) {
    orders = workload.orders.map(\.description)
    steps = workload.steps
    evaluate = workload.schedule.description
    seed = workload.seeds.lowerBound
    seedCount = workload.seeds.count
    averages = workload.averages.map(\.description)
    tolerance = workload.tolerance
    costBudget = workload.costBudget
  }
}

extension Workload {
  /// Reads a stored workload.
  /// - Parameter orderTexts: what order files hold, by path.
  package init(_ description: WorkloadDescription, orderTexts: [String: String]) throws {
    try self.init(
      orders: try description.orders.map { try ObservedOrder($0, texts: orderTexts) }, steps: description.steps,
      observing: try EvaluationSchedule(description.evaluate), seeds: description.seeds,
      averages: try description.averages.map { try AverageRule($0) }, tolerance: description.tolerance,
      costBudget: description.costBudget, orderTexts: orderTexts)
  }
}

extension RunDescription {
  fileprivate init<Problem>(_ specification: RunSpecification<Problem>) {
    let problem = specification.problem
    self.problem = ProblemDescription(
      name: problem.name, settings: problem.settings, metrics: problem.metrics, hasJournal: problem.batches != nil)
    workload = WorkloadDescription(specification.workload)
    // What was chosen for a budget stays: a time spent on other lanes would be spent on other iterates.
    var budgets = specification.budgets
    budgets.lanes = specification.resources.lanes
    self.budgets = budgets
    inputs = specification.inputs
    keepsOrders = true
  }

  init(_ record: RunRecord, in folder: RunFolder) throws(StorageError) {
    self = try decodeJSON(Self.self, from: record.configuration, in: folder)
  }

  /// All settings in one document: those of the problem, of the workload and of the budgets.
  package var configuration: [String: JSONValue] {
    get throws {
      var all = problem.settings
      for part in [try JSONValue(encoding: workload), try JSONValue(encoding: budgets)] {
        if case .object(let values) = part { all.merge(values) { first, _ in first } }
      }
      return all
    }
  }

  /// All settings, read as a document of another kind.
  /// - Parameter path: the run's folder, for messages.
  /// - Throws: `RunError.damaged` naming the setting that can't be read.
  package func configuration<Document: Decodable>(as type: Document.Type, of path: String) throws -> Document {
    do {
      return try JSONDecoder().decode(type, from: JSONEncoder().encode(configuration))
    } catch {
      throw RunError.damaged("\(RunFolder(path: path).databasePath) is damaged: its settings can't be read: \(words(of: error))")
    }
  }

  var bounds: RowBounds {
    RowBounds(seeds: workload.seeds, lastIterate: workload.steps, metrics: problem.metrics)
  }
}

extension RunSpecification {
  /// What a run's folder keeps of it.
  public var description: RunDescription { RunDescription(self) }
}

func encodeJSON(_ value: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// - Parameter metrics: the run's, whose values the document has.
func decodeJSON<Value: Decodable>(
  _ type: Value.Type, from json: String, metrics: [Metric] = [], in folder: RunFolder
) throws(StorageError) -> Value {
  do {
    return try decoder(of: metrics).decode(type, from: Data(json.utf8))
  } catch {
    throw .damaged(path: folder.databasePath, reason: "its row about the run can't be read: \(words(of: error))")
  }
}

/// A decoder of documents that have values of metrics.
func decoder(of metrics: [Metric]) -> JSONDecoder {
  let decoder = JSONDecoder()
  if let key = CodingUserInfoKey.metrics { decoder.userInfo[key] = metrics }
  return decoder
}

/// What is wrong with a document. The library's own errors are for programmers.
private func words(of error: any Error) -> String {
  return switch error {
  case DecodingError.keyNotFound(let key, let context): "it has no \((context.codingPath + [key]).place)"
  case DecodingError.valueNotFound(_, let context): "its \(context.codingPath.place) is null"
  case DecodingError.typeMismatch(_, let context) where context.codingPath.isEmpty: "it is of another kind"
  case DecodingError.typeMismatch(_, let context): "its \(context.codingPath.place) is of another kind"
  case DecodingError.dataCorrupted(let context) where context.codingPath.isEmpty: "it is not JSON"
  case DecodingError.dataCorrupted(let context): "its \(context.codingPath.place) can't be what it says"
  default: "\(error)"
  }
}

extension [any CodingKey] {
  /// Where in a document a value stands, such as `points[2].skill`.
  package var place: String {
    map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue.prefix(100))" }.joined().trimmingPrefix(".").description
  }
}
