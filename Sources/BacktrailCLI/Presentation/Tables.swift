import Backtrail
import Foundation
import Replay
import Reports

/// The comparison of series at the end of a run, with an explanation of its numbers.
func summaryTable(_ result: RunResult, of run: RunDescription) -> String {
  let skipped = result.skippedGradientEvaluations.map { " and \(grouped($0)) left out behind diverged states" } ?? ""
  let spent = """
    Spent: \(count(result.gradientEvaluations, "gradient evaluation"))\(skipped), \(duration(result.wallSeconds)), \
    \(size(result.peakResidentBytes)) peak memory; run kept in \(result.run)
    """
  let notes = summaryNotes(result, of: run) + divergenceNotes(result.summary, of: run) + findings(result, of: run) + [spent]
  return textTable(comparison(result.summary, metrics: run.problem.metrics, seeds: run.workload.seedCount)) + "\n\n" + notes.joined(separator: "\n")
}

/// A table that compares orders, averages and baselines.
/// - Parameters:
///   - metrics: The run's metrics; nil for those of the first series that has values.
///   - seeds: The number of the run's seeds.
func comparison(_ summary: [SeriesSummary], metrics: [Metric]? = nil, seeds: Int) -> Table {
  let metrics = metrics ?? summary.lazy.compactMap(\.measurements?.metrics).first ?? []
  var table = Table(
    header: ["order"] + metrics.map(\.title) + ["neighbour noise", "gradient evaluations", "lane seconds"],
    rows: summary.map { line in
      [line.name] + (line.measurements.map { numbers($0.values, spreads: line.spreads) } ?? metrics.map { _ in "-" }) + [
        line.neighbourNoise.map { String(format: "%.5f", $0) } ?? "-", grouped(line.gradientEvaluations),
        String(format: "%.2f", line.laneSeconds),
      ]
    },
    alignment: [.left] + Array(repeating: .right, count: metrics.count + 3))
  guard summary.contains(where: { !$0.diverged.isEmpty }) else { return table }
  table.header.insert("diverged", at: 1)
  table.alignment.insert(.left, at: 1)
  for (row, line) in summary.enumerated() { table.rows[row].insert(divergence(line.diverged, seeds: seeds), at: 1) }
  return table
}

/// The explanation of the columns of the comparison.
func summaryNotes(_ result: RunResult, of run: RunDescription) -> [String] {
  let names = run.problem.metrics.map(\.shortTitle)
  let subject = names.count < 2 ? names.joined() : names.dropLast().joined(separator: ", ") + " and " + names[names.count - 1]
  var notes = [
    "\(subject.prefix(1).uppercased() + subject.dropFirst()): mean over the last quarter of the run, observations joined by lines in log n"
      + (run.workload.seedCount > 1 ? " ± spread between \(run.workload.seedCount) seeds." : "."),
    """
    Neighbour noise: standard deviation of the loss's change from one observed iterate to the next, last half of the run; - at \
    uneven distances.
    """,
  ]
  if !result.averages.isEmpty {
    let others = run.isOfTheCommand ? "; 'backtrail average RUN' makes others of them" : ""
    let names = Set(result.averages.map(\.series.description))
    let seconds = result.summary.filter { names.contains($0.name) }.reduce(0) { $0 + $1.laneSeconds }
    let kept = result.averagingSeconds.map { String(format: ", %.2f of them to keep them and the rest to observe them", $0) } ?? ""
    notes.append(
      """
      Averages are of all forward iterates and cost no gradient evaluations, but \(String(format: "%.2f", seconds)) lane seconds\
      \(kept)\(others).
      """)
  }
  return notes
}

/// A sentence about the result of each automatic order or schedule.
func findings(_ result: RunResult, of run: RunDescription) -> [String] {
  (result.findings ?? []).map { describe($0, of: run) }
}

/// The output of `average`.
func averagesTable(_ document: ForwardAverages, seeds: Int) -> String {
  let metrics = document.summary.first?.measurements.metrics ?? []
  var rows = [["average", "distance of weights"] + metrics.map(\.title)]
  for average in document.summary {
    rows.append(
      [average.average, average.weightDistance == 0 ? "exact" : String(format: "%.2g", average.weightDistance)]
        + numbers(average.measurements.values, spreads: average.spreads))
  }
  var notes = [
    "Of forward's iterates 1 to \(grouped(document.iterate))" + (seeds > 1 ? ", ± spread between \(seeds) seeds" : "")
      + "; \(count(document.gradientEvaluations, "gradient evaluation")). The row forward is the iterate itself."
  ]
  if document.summary.contains(where: { $0.weightDistance > 0 }) {
    notes.append("Distance of weights: ‖w − v‖ / ‖w‖ between the weights w asked for and those made of stored averages, v.")
  }
  let far = document.summary.filter { $0.weightDistance > 0.1 }.map(\.average)
  if !far.isEmpty {
    let cost = "with \(count(document.iterate * seeds, "gradient evaluation"))"
    notes.append("\(far.joined(separator: ", ")): not near; --exact makes any average, \(cost).")
  }
  return textTable(rows, alignment: [.left] + Array(repeating: .right, count: metrics.count + 1)) + "\n\n" + notes.joined(separator: "\n")
}

/// A sentence about the result of an automatic order or schedule.
private func describe(_ finding: AdaptiveFinding, of run: RunDescription) -> String {
  var parts: [String] = []
  if let tail = finding.tail, tail < run.workload.steps {
    var text = "τ = \(grouped(tail))"
    if finding.isSearchCutShort { text += ", where the cost budget ended the search" }
    if let change = finding.tailChange {
      text += "; \(finding.isSearchCutShort ? "half of that" : "twice that") changes the \(run.loss.title) by \(describe(change))"
    }
    if let error = finding.tailError {
      text += "; exact backward is \(describe(error)) away at n = \((finding.exactPoints ?? []).map(String.init).joined(separator: ", "))"
    }
    parts.append(text)
  } else if finding.tail != nil {
    parts.append("no τ below N keeps within --tolerance \(run.workload.tolerance), so this is exact backward")
  }
  if let approximation = finding.approximation {
    parts.append(
      """
      the cost budget has no room for exact iterates, so \(approximation) stands for it at \(grouped(finding.observed)) n; how far \
      it is off was not measured
      """)
  }
  if let error = finding.estimatedError {
    let checked = finding.checkedError.map { String(format: ", %.2g at n chosen beforehand to check it", $0) } ?? ""
    let reason = finding.isBudgetSpent ? ", as many as the cost budget allows" : ""
    parts.append(
      """
      observed at \(grouped(finding.observed)) n\(reason); the curve between them is known to about \
      \(String(format: "%.2g", error)) of \(run.loss.title)\(checked)
      """)
  }
  if parts.isEmpty { parts = ["observed at \(finding.observed == 1 ? "one n" : "every n")"] }
  return "\(finding.order): " + parts.joined(separator: "; ") + "."
}

private func describe(_ estimate: Estimate) -> String {
  String(format: "%.2g", estimate.mean) + (estimate.halfWidth.map { String(format: " ± %.1g", $0) } ?? "")
}

/// A description of a cost budget and the updates it corresponds to.
func describe(_ budget: CostBudget) -> String {
  let updates = budget.updates.map { count(Int(min($0, 1e18)), "gradient evaluation") } ?? "any number of gradient evaluations"
  return budget.seconds == nil
    ? "cost budget: \(updates)"
    : "cost budget: \(budget), about \(updates), an observation counted as \(String(format: "%.1f", budget.observationCharge))"
}

/// The values of metrics, with their spreads if there are several seeds.
private func numbers(_ values: [Double], spreads: [Double]?) -> [String] {
  values.indices.map { place in
    decimal("%.4f", values[place]) + (spreads.map { " ± " + decimal("%.4f", $0[place]) } ?? "")
  }
}

/// The output of `plan`.
func planTable(_ prediction: CostPrediction, of workload: Workload) -> String {
  var rows = [["order", "observed iterates", "gradient evaluations"]]
  for order in prediction.orders {
    rows.append([order.order, grouped(order.iterates), grouped(order.gradientEvaluations)])
  }
  let alone = prediction.orders.reduce(0) { $0 + $1.gradientEvaluations } * workload.seeds.count
  let saved = alone - prediction.predictedGradientEvaluations
  let seeds = workload.seeds.count
  var totals = [
    [
      "gradient evaluations",
      grouped(prediction.predictedGradientEvaluations)
        + (seeds > 1 ? " for \(seeds) seeds" : "")
        + (saved > 0 ? ", \(grouped(saved)) saved by sharing between orders" : ""),
    ],
    [
      "time",
      (prediction.predictedWallSeconds.map { "about \(duration($0))" } ?? "not measured,") + " on \(count(prediction.lanes, "lane"))",
    ],
    [
      "peak memory",
      "about \(size(prediction.predictedPeakBytes)) resident"
        + (prediction.predictedAccountBytes == prediction.predictedPeakBytes
          ? "" : ", \(size(prediction.predictedAccountBytes)) charged in a container, without pages of files"),
    ],
    ["on disk", "about \(size(prediction.predictedDiskBytes))"],
    [
      "training state",
      "\(size(prediction.stateBytes)); besides the lanes' "
        + slots(memory: prediction.slots, disk: prediction.diskSlots, repeated: prediction.repeatedUpdates),
    ],
    ["numerics", prediction.fingerprint],
    ["SIMD level", prediction.simdLevel],
  ]
  if let bytes = prediction.memoryBudgetBytes, let origin = prediction.memoryBudgetOrigin {
    totals.insert(["memory budget", "\(size(bytes)), \(origin)"], at: 2)
  }
  if !prediction.isMeasured, let work = prediction.predictedMultiplyAdds { totals.insert(["work of updates", multiplyAdds(work)], at: 1) }
  let memory = prediction.memory.map { [$0.name, size($0.bytes)] }
  let automatic = workload.isAdaptive ? ["Automatic orders and schedules begin with this; what follows depends on what they find."] : []
  return ([
    textTable(rows, alignment: [.left, .right, .right]), textTable(totals, alignment: [.left, .left]),
    textTable([["memory", "at its peak"]] + memory, alignment: [.left, .right]), memoryCurve(prediction.memoryChoice),
    prediction.calibration.map(measuredTimes) ?? unmeasuredNote(prediction), neighbourTable(prediction),
  ] + automatic).joined(separator: "\n\n")
}

/// What a plan without measurements does not know.
private func unmeasuredNote(_ prediction: CostPrediction) -> String {
  let note = "Nothing was measured: there are no times, and checkpoints are taken to be as large as those of trained networks on average."
  guard prediction.memoryBudgetBytes != nil else { return note }
  return """
    \(note)
    Lanes, slots and memory are chosen for the budget by guesses, of 50 billion multiply-adds a second and a disk that reads 2 GB/s; \
    a run measures, and may choose others.
    """
}

/// A table of the measured times that the prediction is based on.
private func measuredTimes(_ calibration: Calibration) -> String {
  var rows = [["measured here", "an update", "an observation"]]
  for rate in calibration.rates {
    rows.append([
      count(rate.lanes, "lane"), milliseconds(rate.secondsPerUpdate), milliseconds(rate.secondsPerObservation),
    ])
  }
  for level in calibration.recomputation where level.repeatedPasses > 0 {
    rows.append([
      "1 lane, activations in \(size(level.workspaceBytes)), \(level.repeatedPasses) passes again", milliseconds(level.secondsPerUpdate), "",
    ])
  }
  let storage = calibration.storage
  return textTable(rows, alignment: [.left, .right, .right]) + """

    A checkpoint of \(size(storage.bytes)): \(milliseconds(storage.encodeSeconds)) to encode, \(milliseconds(storage.writeSeconds)) \
    to write, \(milliseconds(storage.readSeconds)) to read, \(milliseconds(storage.decodeSeconds)) to decode.
    """
}

/// A table of the costs of runs that differ in one setting.
private func neighbourTable(_ prediction: CostPrediction) -> String {
  func row(_ name: String, _ evaluations: Int, _ seconds: Double?, _ peak: Int, _ disk: Int) -> [String] {
    [name, grouped(evaluations), seconds.map(duration) ?? "-", size(peak), size(disk)]
  }
  let rows =
    [["instead", "gradient evaluations", "time", "peak memory", "on disk"]]
    + [
      row(
        "(as asked)", prediction.predictedGradientEvaluations, prediction.predictedWallSeconds, prediction.predictedPeakBytes,
        prediction.predictedDiskBytes)
    ]
    + prediction.neighbours.map {
      row($0.change, $0.cost.gradientEvaluations, $0.cost.seconds, $0.cost.peakBytes, $0.cost.diskBytes)
    }
  return textTable(rows, alignment: [.left, .right, .right, .right, .right])
}

/// A description of where branching states are kept.
private func slots(memory: Int, disk: Int, repeated: Int) -> String {
  var parts = ["\(memory) kept in memory at once"]
  if disk > 0 { parts.append("\(disk) on disk") }
  if repeated > 0 { parts.append("\(grouped(repeated)) updates to make others again") }
  return parts.joined(separator: ", ")
}

/// The speed with different amounts of memory, from the least to the most, as a row of bars with labels at both ends.
private func memoryCurve(_ choice: MemoryChoice) -> String {
  let all = Array(choice.curve.reversed())
  let points = all.count <= 60 ? all : (0..<60).map { all[$0 * (all.count - 1) / 59] }
  let isTraded = all.contains { $0.repeatedPasses > 0 || $0.microBatches > 1 || $0.bytesReadPerUpdate > 0 }
  guard let least = points.first, let most = points.last, isTraded else {
    return "Every activation is kept; computing some again would save no memory."
  }
  let bars = Array("▁▂▃▄▅▆▇█")
  /// What is drawn: time, or work where no time was measured.
  func cost(_ point: MemoryChoice.Point) -> Double { point.secondsPerUpdate ?? point.multiplyAddsPerUpdate ?? 0 }
  let costs = points.map(cost)
  let (fastest, slowest) = (costs.min() ?? 0, costs.max() ?? 0)
  let line = points.map { point in
    let height = (cost(point) - fastest) / max(slowest - fastest, .leastNonzeroMagnitude)
    return bars[Int((height * Double(bars.count - 1)).rounded())]
  }
  func end(_ point: MemoryChoice.Point) -> String {
    "\(size(point.peakBytes)): \(costOfUpdate(point))"
  }
  return """
    \(least.secondsPerUpdate == nil ? "Work" : "Time") against memory: \(String(line))  (\(end(least)); \(end(most)))
    \(describe(choice))
    """
}

/// A description of a memory budget and what it was taken from.
func describe(_ limit: MemoryLimit) -> String { "memory budget: \(size(limit.bytes)), \(limit.origin)" }

/// A description of the choice made for a memory budget, or without one.
func describe(_ choice: MemoryChoice) -> String {
  let (parts, repeated) = (choice.chosen.microBatches, choice.chosen.repeatedPasses)
  let batches = parts == 1 ? "" : ", batches in \(parts) parts"
  let activations =
    repeated == 0
    ? "every activation kept" : "\(repeated) forward passes of \(choice.stages) stages run again in each update"
  let (read, written) = (choice.chosen.bytesReadPerUpdate, choice.chosen.bytesWrittenPerUpdate)
  let states = read + written == 0 ? "" : ", states on disk (\(size(read)) read and \(size(written)) written an update)"
  // The way to less memory that is not there is worth a word where others cost time.
  let reason = repeated + read + written == 0 ? nil : choice.wholeBatchReason.map { "\nBatches are not processed in parts: \($0)." }
  return """
    \(count(choice.lanes, "lane"))\(batches), \(activations)\(states): \(size(choice.chosen.peakBytes)) at the peak, \
    \(costOfUpdate(choice.chosen)) and lane\(reason ?? "")
    """
}

/// The time of an update, or its work where no time was measured.
private func costOfUpdate(_ point: MemoryChoice.Point) -> String {
  (point.secondsPerUpdate.map(milliseconds) ?? point.multiplyAddsPerUpdate.map(multiplyAdds) ?? "time not measured") + " an update"
}

private func milliseconds(_ seconds: Double) -> String { String(format: "%.3g ms", seconds * 1000) }

func runsTable(_ runs: [StoredRun]) -> String {
  var rows = [["run", "status", "made", "problem", "steps", "orders"]]
  for run in runs {
    rows.append([
      run.run, run.status + (run.firstDivergences.isEmpty ? "" : ", diverged"), run.createdAt.formatted(.iso8601), run.problem.name, grouped(run.workload.steps),
      run.workload.orders.joined(separator: " "),
    ])
  }
  return textTable(rows, alignment: [.left, .left, .left, .left, .right, .left])
}

func runDescription(_ run: StoredRun) -> String {
  let description = textTable(facts(run))
  guard let result = run.result else { return description }
  return description + "\n\n" + summaryTable(result, of: run.description)
}

/// A table of facts about a run, one row per setting.
func facts(_ run: StoredRun) -> Table {
  let workload = run.workload
  let seeds = workload.seeds
  var rows = [["run", run.run], ["status", run.status], ["made", run.createdAt.formatted(.iso8601)]]
  rows += run.configuration.map(networkFacts) ?? problemFacts(run.problem)
  rows += [
    ["orders", workload.orders.joined(separator: " ")],
    ["steps", "\(grouped(workload.steps)), observed \(workload.evaluate)"],
    ["averages of forward", workload.averages.isEmpty ? "none" : workload.averages.joined(separator: " ")],
    ["divergence limit", workload.divergenceLimit.map { String(format: "%g of \(run.description.loss.title)", $0) } ?? "none"],
    ["seeds", seeds.count == 1 ? String(seeds.lowerBound) : "\(seeds.lowerBound) to \(seeds.upperBound - 1)"],
    ["numerics", run.fingerprint],
    ["observations", grouped(run.observationCount)],
  ]
  if !run.firstDivergences.isEmpty {
    let places = run.firstDivergences.map { "\($0.series) at \(grouped($0.n))" + (seeds.count > 1 ? " (seed \($0.seed))" : "") }
    rows.append(["diverged", places.prefix(10).joined(separator: ", ") + (places.count > 10 ? ", …" : "")])
  }
  return Table(rows: rows, alignment: [.left, .left])
}

/// Facts about a problem that is not described by settings of the command.
private func problemFacts(_ problem: ProblemDescription) -> [[String]] {
  [["problem", problem.name], ["metrics", problem.metrics.map(\.axisTitle).joined(separator: "; ")]]
    + problem.settings.sorted { $0.key < $1.key }.map { [$0.key, $0.value.description] }
}

private func networkFacts(_ configuration: RunConfiguration) -> [[String]] {
  var rows = [["data", configuration.data]]
  if let augment = configuration.augment { rows.append(["augmentation", augment]) }
  rows += [
    ["model", configuration.model],
    ["loss", configuration.loss],
    ["batch size", configuration.batchSize.map(String.init) ?? "as the sampler's file says"],
    ["learning rate", describeLearningRate(configuration)],
    ["optimizer", describeOptimizer(configuration)],
    ["sampler", configuration.sampler],
  ]
  if let initial = configuration.initial { rows.append(["initial state", initial]) }
  return rows
}

private func describeOptimizer(_ configuration: RunConfiguration) -> String {
  let decay = configuration.weightDecay.map { ", weight decay \($0)" } ?? ""
  return configuration.optimizer + decay + (configuration.optimizerPrecision == .float32 ? "" : ", \(configuration.optimizerPrecision) slots")
}

private func describeLearningRate(_ configuration: RunConfiguration) -> String {
  let warmUp = configuration.warmUp > 0 ? ", warm-up of \(grouped(configuration.warmUp)) updates" : ""
  let schedule =
    configuration.schedule == "constant"
    ? "" : ", \(configuration.schedule) over \(grouped(configuration.scheduleSteps)) updates by \(configuration.scheduleIndex.rawValue)"
  return "\(configuration.learningRate)\(schedule)\(warmUp)"
}

/// A description of where an iterate was recalled from, and whether its digest was compared.
func describe(_ iterate: ReplayedIterate, order: CompositionOrder, n: Int) -> String {
  let start = iterate.checkpoint.map { "the checkpoint \($0.file)" } ?? "the initial state"
  let source =
    iterate.gradientEvaluations == 0
    ? "loaded from \(start)" : "replayed from \(start) with \(count(iterate.gradientEvaluations, "gradient evaluation"))"
  return """
    iterate \(n) of \(order), \(source), digest \(iterate.digest)\
    \(iterate.wasObserved ? ", equal to the one observed" : "")
    """
}
