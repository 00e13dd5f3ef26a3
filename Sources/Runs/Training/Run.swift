import Formats
import Foundation
import Replay
import Tensors

/// A run with its folder: created once, trained until it is done, then read and replayed as often as needed.
///
///     let run = try Run.create(at: "runs/mean", Mean(), orders: [.forward, .backward], steps: 100, observing: .every(10))
///     for try await observation in run.train() { print(observation) }
///     let iterate = try await Run.open("runs/mean", Mean()).iterate(.backward, 50)
///
/// A run that is killed at any instant and opened again continues to the same bits.
public struct Run<Problem: TrainingProblem>: Sendable {
  public let folder: RunFolder
  public let specification: RunSpecification<Problem>
  /// The numerics fingerprint the run was made with.
  public let fingerprint: String
  package let database: RunDatabase

  public var problem: Problem { specification.problem }
  public var workload: Workload { specification.workload }

  init(folder: RunFolder, specification: RunSpecification<Problem>, fingerprint: String, database: RunDatabase) {
    self.folder = folder
    self.specification = specification
    self.fingerprint = fingerprint
    self.database = database
  }

  /// The inputs of the run as its folder stores them.
  public var description: RunDescription { specification.description }

  /// Whether a replay in this process has the same bits as in the one that made the run.
  var hasSameNumerics: Bool { fingerprint == NumericsFingerprint.current(for: problem) }

  /// Completes an order named in the run's database with the content of the run's copy of its file.
  /// - Throws: `RunError.damaged` if the run does not have the order.
  func known(_ order: CompositionOrder) throws(RunError) -> CompositionOrder {
    if let asked = workload.askedOrders.first(where: { $0 == order }) { return asked }
    guard order.file == nil else {
      throw .damaged("\(folder.databasePath) names the order '\(order)', which the run does not have")
    }
    return order
  }

  /// The result of a finished run, without its iterates; nil if it has not finished.
  public func result() throws -> RunResult? {
    let record = try database.record()
    return try RunResult(record, of: RunDescription(record, in: folder), in: folder)
  }

  /// The index of a seed among the run's seeds.
  /// - Throws: `RunError.impossible` if the run does not have the seed.
  package func replica(ofSeed seed: Int) throws(RunError) -> Int {
    let seeds = workload.seeds
    guard seeds.contains(seed) else {
      throw .impossible(
        "\(folder.path) has no seed \(seed); name one from \(seeds.lowerBound) to \(seeds.upperBound - 1) with `seed`")
    }
    return seed - seeds.lowerBound
  }

  /// The example indices of batch j, counted from 1, for one of the run's seeds.
  public func batch(_ j: Int, seed: Int) throws -> [Int] {
    _ = try replica(ofSeed: seed)
    guard let batches = problem.batches else {
      throw RunError.impossible("\(folder.path) is a run of \(problem.name), whose batches are not made of examples")
    }
    guard (1...BatchRun.largestBatch).contains(j) else {
      throw RunError.impossible("there is no batch \(j): batches count from 1 to \(BatchRun.largestBatch)")
    }
    if let count = problem.batchCount, j > count {
      throw RunError.impossible("\(problem.name) has \(count) batches, so there is no batch \(j)")
    }
    return try batches.indices(batch: j, seed: seed)
  }
}

/// The content of a run's folder from which its problem is made again.
public struct RunContents: Sendable {
  public let folder: RunFolder
  public let description: RunDescription
  /// Imported batches from the journal; nil if batches follow from seeds.
  package let batches: StoredBatches?
}

// MARK: - Making and opening

extension Run {
  /// Makes the folder of a new run. Nothing is trained yet.
  /// - Parameters:
  ///   - path: The folder, which must not exist yet.
  ///   - schedule: The n at which the iterates of each order are observed.
  ///   - averages: The running averages of forward's iterates, observed together with them.
  public static func create(
    at path: String, _ problem: Problem, orders: [CompositionOrder], steps: Int, observing schedule: EvaluationSchedule,
    seeds: Range<Int> = 0..<1, averages: [AverageRule] = [], budgets: Budgets = Budgets()
  ) throws -> Run {
    let workload = try Workload(
      orders: orders.map { ObservedOrder($0) }, steps: steps, observing: schedule, seeds: seeds, averages: averages)
    return try create(at: path, RunSpecification(problem, workload, budgets: budgets))
  }

  /// Makes the folder of a new run. Nothing is trained yet.
  /// - Parameter path: The folder, which must not exist yet.
  /// - Throws: The errors of `RunSpecification.fitted`, and `StorageError.exists` or `.cannotCreate`.
  public static func create(at path: String, _ specification: RunSpecification<Problem>) throws -> Run {
    // Everything that can be refused is refused before the folder exists.
    let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
    let specification = try specification.fitted(in: parent).withinCostBudget()
    _ = try specification.initialState(replica: 0)
    try specification.checkDiskBudget()
    let folder = try RunFolder.create(at: path)
    let lock = try RunLock(folder)
    defer { lock.hold() }
    try folder.clear()
    do {
      let description = specification.description
      try specification.problem.writeFiles(into: folder)
      try folder.keepOrders(specification.workload.orderTexts, of: description.workload)
      if let batches = specification.problem.batches {
        try RunJournal.write(batches, seeds: specification.workload.seeds, in: folder)
      }
      let record = RunRecord(
        configuration: try encodeJSON(description), fingerprint: NumericsFingerprint.current(for: specification.problem), createdAt: Date())
      let database = try RunDatabase.create(in: folder, record: record)
      database.expect(description.bounds)
      return Run(folder: folder, specification: specification, fingerprint: record.fingerprint, database: database)
    } catch {
      // A folder that never became a run would be in the way of the next one.
      folder.removeBeginnings()
      throw error
    }
  }

  /// Opens a run for more training or for replay. Nothing in the folder changes until the run is trained or repaired,
  /// so the folder may be read-only.
  /// - Parameters:
  ///   - problem: The problem the run was made with, unchanged.
  ///   - steps: A new N, not below the run's; nil for the run's own.
  ///   - lanes: A new number of lanes; nil for the run's own.
  ///   - memory: A new memory budget; nil for the run's own. An automatic one is found out anew.
  ///   - allowNumericsChange: Whether different numerics, and so different bits, are accepted.
  /// - Throws: `RunError.damaged` if the problem was made from other data or has other metrics, and `.impossible` if
  ///   numerics differ.
  public static func open(
    _ path: String, _ problem: Problem, steps: Int? = nil, lanes: Int? = nil, memory: MemoryBudget? = nil,
    allowNumericsChange: Bool = false
  ) throws -> Run {
    try open(path, steps: steps, lanes: lanes, memory: memory, allowNumericsChange: allowNumericsChange) { _ in problem }
  }

  /// Opens a run whose problem is made from what its folder contains.
  /// - Parameters:
  ///   - repairs: Whether a damaged journal is tolerated if its batches follow from seeds.
  ///   - problem: Makes the problem as it was when the run was made.
  public static func open(
    _ path: String, steps: Int? = nil, lanes: Int? = nil, memory: MemoryBudget? = nil, allowNumericsChange: Bool = false,
    repairs: Bool = false, making problem: (RunContents) throws -> Problem
  ) throws -> Run {
    let folder = try RunFolder.open(path)
    let database = try RunDatabase.open(folder)
    let record = try database.record()
    let stored = try RunDescription(record, in: folder)
    database.expect(stored.bounds)
    let workload = try extended(Workload(stored.workload, orderTexts: folder.orderTexts(of: stored)), to: steps, path: path)
    database.expect(RowBounds(seeds: workload.seeds, lastIterate: workload.steps, metrics: stored.problem.metrics))
    var budgets = stored.budgets
    if let lanes {
      guard (1...Budgets.mostLanes).contains(lanes) else {
        throw RunError.usage("`lanes` is \(lanes), but must be a whole number from 1 to \(Budgets.mostLanes)")
      }
      budgets.lanes = lanes
    }
    if let memory { budgets.memory = memory.limit }
    var batches: StoredBatches?
    if stored.problem.hasJournal {
      do {
        batches = try RunJournal.batches(in: folder)
      } catch StorageError.damaged where repairs && stored.inputs.batches == nil {
        batches = nil
      }
      // This check comes first, so that no other error is reported for batches that the journal no longer holds.
      try stored.inputs.checkBatches(batches?.digest, run: folder)
    }
    let made = try problem(RunContents(folder: folder, description: stored, batches: batches))
    let specification = try RunSpecification(made, workload, budgets: budgets)
    try stored.check(specification, path: path)
    try stored.inputs.check(against: specification.inputs, run: folder)
    let current = NumericsFingerprint.current(for: made)
    guard record.fingerprint == current || allowNumericsChange else {
      throw RunError.impossible(
        """
        \(path) was made with other numerics, so a replay here gives other bits; \
        accept that with `allow-numerics-change` (there: \(record.fingerprint); here: \(current))
        """)
    }
    // Repairs remove broken rows, so these must not prevent opening the run.
    let observations = workload.isAdaptive ? try database.observations(leavesOutBroken: repairs) : []
    let diverged = workload.isAdaptive ? try database.divergences(leavesOutBroken: repairs) : []
    return Run(
      folder: folder, specification: specification.adapted(to: observations, diverged: diverged).specification,
      fingerprint: record.fingerprint, database: database)
  }

  /// - Parameter steps: A new N; nil for the workload's own.
  private static func extended(_ workload: Workload, to steps: Int?, path: String) throws -> Workload {
    guard let steps, steps != workload.steps else { return workload }
    guard (workload.steps...BatchRun.largestBatch).contains(steps) else {
      throw RunError.usage("`steps` is \(steps), but a run of \(workload.steps) steps can't be made shorter")
    }
    guard workload.costBudget == nil else {
      throw RunError.impossible(
        """
        \(path) was made for a `cost-budget` of \(workload.costBudget.map(\.description) ?? ""), which is spent on its \
        \(workload.steps) steps; train a new run with more `steps` instead
        """)
    }
    return try workload.with(steps: steps)
  }
}
