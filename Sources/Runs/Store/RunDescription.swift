import Formats
import Foundation
import Replay
import Tensors

/// The inputs of a run as its folder stores them: enough to show the run and to check what it stores, without the
/// code of its problem.
public struct RunDescription: Codable, Sendable {
  public let problem: ProblemDescription
  public let workload: WorkloadDescription
  public let budgets: Budgets
  public let inputs: InputDigests
  /// Whether the run has copies of its order files; nil for runs of the first release, which have none.
  let keepsOrders: Bool?
}

/// A problem as a run's folder describes it.
public struct ProblemDescription: Codable, Sendable {
  public let name: String
  /// What makes it again from its settings, as `TrainingProblem.kind` says.
  public let kind: String
  /// The settings by name.
  public let settings: [String: JSONValue]
  public let metrics: [Metric]
  /// Length of its training state in floats; nil in runs of releases that did not note it.
  public let stateCount: Int?
  /// Whether its batches are recorded in the journal.
  let hasJournal: Bool
}

extension ProblemDescription {
  private enum CodingKeys: String, CodingKey { case name, kind, settings, metrics, stateCount, hasJournal }

  public init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: CodingKeys.self)
    name = try stored.decode(String.self, forKey: .name)
    kind = try stored.decode(String.self, forKey: .kind)
    settings = try stored.decode([String: JSONValue].self, forKey: .settings)
    stateCount = try stored.decodeIfPresent(Int.self, forKey: .stateCount)
    metrics = try stored.decode([Metric].self, forKey: .metrics)
    hasJournal = try stored.decode(Bool.self, forKey: .hasJournal)
    do { try Metric.check(metrics) } catch { throw RunError.damaged("its metrics can't be right: \(error)") }
  }
}

/// A workload in the form of its specifications.
public struct WorkloadDescription: Codable, Sendable {
  /// The orders, those with a schedule of their own in the form `ORDER@SCHEDULE`.
  public let orders: [String]
  public let steps: Int
  /// The schedule of orders without one of their own.
  public let evaluate: String
  public let seed: Int
  public let seedCount: Int
  public let averages: [String]
  public let tolerance: Double
  public let costBudget: CostBudget?
  /// The loss above which an iterate has diverged; nil for none.
  public let divergenceLimit: Double?

  public var seeds: Range<Int> { seed..<seed + seedCount }

  /// The paths of the order files `file:PATH`, each with the index of its order.
  var orderFiles: [(place: Int, path: String)] {
    orders.enumerated().compactMap { place, order in
      OrderFile.path(in: ObservedOrder.parts(of: order).order).map { (place, $0) }
    }
  }

  /// Sorts series: first those that were asked for, in that order and with forward's averages behind forward, then
  /// those that automatic orders added.
  public func sorted(_ series: [Series]) -> [Series] {
    let ranks = Dictionary(orders.enumerated().map { (ObservedOrder.parts(of: $1).order, $0) }) { first, _ in first }
    func rank(_ series: Series) -> Int { ranks[(series.order ?? .forward).description] ?? orders.count }
    return series.map { (rank($0), $0.description, $0) }
      .sorted { ($0.0, $0.1.count, $0.1) < ($1.0, $1.1.count, $1.1) }.map(\.2)
  }

  /// The series that were asked for, as far as their names are known. Automatic orders have none yet.
  var askedSeries: [Series] {
    orders.compactMap { Series(ObservedOrder.parts(of: $0).order) } + averages.compactMap { try? .average(AverageRule($0)) }
  }
}

extension WorkloadDescription {
  private enum CodingKeys: String, CodingKey { case orders, steps, evaluate, seed, seedCount, averages, tolerance, costBudget, divergenceLimit }

  /// Reads a stored workload. Numbers that no run can have are refused here, so that no other code needs to check
  /// them.
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
    steps = try whole(.steps, in: 1...BatchRun.largestBatch)
    evaluate = try stored.decode(String.self, forKey: .evaluate)
    seed = try whole(.seed, in: 0...Int.max - 1_000_000)
    seedCount = try whole(.seedCount, in: 1...Workload.mostSeeds)
    averages = try stored.decode([String].self, forKey: .averages)
    tolerance = try stored.decode(Double.self, forKey: .tolerance)
    costBudget = try stored.decodeIfPresent(CostBudget.self, forKey: .costBudget)
    divergenceLimit = try stored.decodeIfPresent(Double.self, forKey: .divergenceLimit)
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
    divergenceLimit = workload.divergenceLimit
  }
}

extension Workload {
  /// Reads a stored workload.
  /// - Parameter orderTexts: The contents of order files, by path.
  package init(_ description: WorkloadDescription, orderTexts: [String: String]) throws {
    try self.init(
      orders: try description.orders.map { try ObservedOrder($0, texts: orderTexts) }, steps: description.steps,
      observing: try EvaluationSchedule(description.evaluate), seeds: description.seeds,
      averages: try description.averages.map { try AverageRule($0) }, tolerance: description.tolerance,
      costBudget: description.costBudget, divergenceLimit: description.divergenceLimit, orderTexts: orderTexts)
  }
}

extension RunDescription {
  fileprivate init<Problem>(_ specification: RunSpecification<Problem>) {
    let problem = specification.problem
    self.problem = ProblemDescription(
      name: problem.name, kind: problem.kind, settings: problem.settings, metrics: problem.metrics,
      stateCount: specification.stateCount, hasJournal: problem.batches != nil)
    workload = WorkloadDescription(specification.workload)
    // The number of lanes chosen for a budget is stored, since a time spent on other lanes would be spent on other
    // iterates.
    var budgets = specification.budgets
    budgets.lanes = specification.resources.lanes
    self.budgets = budgets
    inputs = specification.inputs
    keepsOrders = true
  }

  /// What a run's folder says of it, whatever else of the folder is damaged.
  public init(ofRun path: String) throws {
    let folder = try RunFolder.open(path)
    try self.init(RunDatabase.open(folder).record(), in: folder)
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

  /// Checks that a problem is the one the run was made of, as far as descriptions tell.
  /// - Parameter path: the run's folder, for messages.
  /// - Throws: `RunError.impossible` naming what differs.
  func check<Problem: TrainingProblem>(_ specification: RunSpecification<Problem>, path: String) throws {
    let (made, now) = (problem, specification.description.problem)
    func differs(_ what: String, _ then: some CustomStringConvertible, _ now: some CustomStringConvertible) -> RunError {
      .impossible("\(path) was made with the \(what) \(then), but the problem has \(now); open it with the problem it was made of")
    }
    let (metricsThen, metricsNow) = (made.metrics.map(\.name), now.metrics.map(\.name))
    guard metricsThen == metricsNow else { throw differs("metrics", metricsThen, metricsNow) }
    guard made.kind == now.kind else { throw differs("kind of problem", made.kind, now.kind) }
    if let count = made.stateCount, count != now.stateCount { throw differs("state length", count, now.stateCount ?? 0) }
    // As they are read back: a number may be stored in fewer digits.
    let settings = try JSONDecoder().decode([String: JSONValue].self, from: JSONEncoder().encode(now.settings))
    for (name, value) in made.settings.sorted(by: { $0.key < $1.key }) {
      if let other = settings[name], other != value { throw differs("setting \(name)", value, other) }
    }
  }

  var bounds: RowBounds {
    RowBounds(seeds: workload.seeds, lastIterate: workload.steps, metrics: problem.metrics)
  }
}

extension RunSpecification {
  /// The description that the run's folder stores.
  public var description: RunDescription { RunDescription(self) }
}

func encodeJSON(_ value: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// - Parameter metrics: The metrics of the run, whose values the document contains.
func decodeJSON<Value: Decodable>(
  _ type: Value.Type, from json: String, metrics: [Metric] = [], in folder: RunFolder
) throws(StorageError) -> Value {
  do {
    return try decoder(of: metrics).decode(type, from: Data(json.utf8))
  } catch {
    throw .damaged(path: folder.databasePath, reason: "its row about the run can't be read: \(words(of: error))")
  }
}

/// A decoder for documents that contain values of metrics.
func decoder(of metrics: [Metric]) -> JSONDecoder {
  let decoder = JSONDecoder()
  if let key = CodingUserInfoKey.metrics { decoder.userInfo[key] = metrics }
  return decoder
}

/// Describes what is wrong with a document. The error messages of the library are written for programmers.
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
  /// The place of a value in a document, such as `points[2].skill`.
  package var place: String {
    map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue.prefix(100))" }.joined().trimmingPrefix(".").description
  }
}
