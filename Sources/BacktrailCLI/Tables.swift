import Backtrail
import Foundation
import Replay
import Reports

/// The comparison of orders at the end of a run, with what its numbers mean.
func summaryTable(_ result: RunResult, configuration: RunConfiguration) -> String {
  let spent = """
    Spent: \(count(result.gradientEvaluations, "gradient evaluation")), \(duration(result.wallSeconds)), \
    \(size(result.peakResidentBytes)) peak memory; run kept in \(result.run)
    """
  let notes = summaryNotes(result, configuration: configuration) + findings(result, configuration: configuration) + [spent]
  return textTable(comparison(result.summary)) + "\n\n" + notes.joined(separator: "\n")
}

/// Orders, averages and baselines side by side.
func comparison(_ summary: [SeriesSummary]) -> Table {
  Table(
    header: ["order", "test loss", "test accuracy", "neighbour noise", "gradient evaluations", "lane seconds"],
    rows: summary.map { line in
      [
        line.series,
        number(line.testLoss, spread: line.testLossSpread),
        number(line.testAccuracy, spread: line.testAccuracySpread),
        line.neighbourNoise.map { String(format: "%.5f", $0) } ?? "-",
        grouped(line.gradientEvaluations),
        String(format: "%.2f", line.laneSeconds),
      ]
    },
    alignment: [.left, .right, .right, .right, .right, .right])
}

/// What the columns of the comparison are.
func summaryNotes(_ result: RunResult, configuration: RunConfiguration) -> [String] {
  var notes = [
    "Loss and accuracy: mean over the last quarter of the run, observations joined by lines in log n"
      + (configuration.seedCount > 1 ? " ± spread between \(configuration.seedCount) seeds." : "."),
    """
    Neighbour noise: standard deviation of the loss's change from one observed iterate to the next, last half of the run; - at \
    uneven distances.
    """,
  ]
  if !result.averages.isEmpty {
    notes.append("Averages are of all forward iterates and cost no gradient evaluations; 'backtrail average RUN' makes others of them.")
  }
  return notes
}

/// What automatic orders and schedules came to, a sentence each.
func findings(_ result: RunResult, configuration: RunConfiguration) -> [String] {
  (result.findings ?? []).map { describe($0, configuration: configuration) }
}

/// What `average` says.
func averagesTable(_ document: ForwardAverages, seeds: Int) -> String {
  var rows = [["average", "distance of weights", "test loss", "test accuracy"]]
  for average in document.summary {
    rows.append([
      average.average, average.weightDistance == 0 ? "exact" : String(format: "%.2g", average.weightDistance),
      number(average.testLoss, spread: average.testLossSpread), number(average.testAccuracy, spread: average.testAccuracySpread),
    ])
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
  return textTable(rows, alignment: [.left, .right, .right, .right]) + "\n\n" + notes.joined(separator: "\n")
}

/// What an automatic order or schedule came to.
private func describe(_ finding: AdaptiveFinding, configuration: RunConfiguration) -> String {
  var parts: [String] = []
  if let tail = finding.tail, tail < configuration.steps {
    var text = "τ = \(grouped(tail))"
    if finding.isSearchCutShort { text += ", where the cost budget ended the search" }
    if let change = finding.tailChange {
      text += "; \(finding.isSearchCutShort ? "half of that" : "twice that") changes the test loss by \(describe(change))"
    }
    if let error = finding.tailError {
      text += "; exact backward is \(describe(error)) away at n = \((finding.exactPoints ?? []).map(String.init).joined(separator: ", "))"
    }
    parts.append(text)
  } else if finding.tail != nil {
    parts.append("no τ below N keeps within --tolerance \(configuration.tolerance), so this is exact backward")
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
      \(String(format: "%.2g", error)) of test loss\(checked)
      """)
  }
  if parts.isEmpty { parts = ["observed at \(finding.observed == 1 ? "one n" : "every n")"] }
  return "\(finding.order): " + parts.joined(separator: "; ") + "."
}

private func describe(_ estimate: Estimate) -> String {
  String(format: "%.2g", estimate.mean) + (estimate.halfWidth.map { String(format: " ± %.1g", $0) } ?? "")
}

/// What a cost budget comes to.
func describe(_ budget: CostBudget) -> String {
  let updates = budget.updates.map { count(Int(min($0, 1e18)), "gradient evaluation") } ?? "any number of gradient evaluations"
  return budget.seconds == nil
    ? "cost budget: \(updates)"
    : "cost budget: \(budget), about \(updates), an observation counted as \(String(format: "%.1f", budget.observationCharge))"
}

private func number(_ value: Double, spread: Double?) -> String {
  decimal("%.4f", value) + (spread.map { " ± " + decimal("%.4f", $0) } ?? "")
}

/// What `plan` says.
func planTable(_ prediction: CostPrediction, experiment: Experiment) -> String {
  var rows = [["order", "observed iterates", "gradient evaluations"]]
  for order in prediction.orders {
    rows.append([order.order, grouped(order.iterates), grouped(order.gradientEvaluations)])
  }
  let alone = prediction.orders.reduce(0) { $0 + $1.gradientEvaluations } * experiment.configuration.seedCount
  let saved = alone - prediction.predictedGradientEvaluations
  let seeds = experiment.configuration.seedCount
  let totals = [
    [
      "gradient evaluations",
      grouped(prediction.predictedGradientEvaluations)
        + (seeds > 1 ? " for \(seeds) seeds" : "")
        + (saved > 0 ? ", \(grouped(saved)) saved by sharing between orders" : ""),
    ],
    [
      "time", "about \(duration(prediction.predictedWallSeconds)) on \(count(prediction.lanes, "lane"))",
    ],
    ["peak memory", "about \(size(prediction.predictedPeakBytes))"],
    ["on disk", "about \(size(prediction.predictedDiskBytes))"],
    [
      "training state",
      "\(size(prediction.stateBytes)); besides the lanes' "
        + slots(memory: prediction.slots, disk: prediction.diskSlots, repeated: prediction.repeatedUpdates),
    ],
    ["numerics", prediction.fingerprint],
  ]
  let memory = prediction.memory.map { [$0.name, size($0.bytes)] }
  let automatic = experiment.isAdaptive ? ["Automatic orders and schedules begin with this; what follows depends on what they find."] : []
  return ([
    textTable(rows, alignment: [.left, .right, .right]), textTable(totals, alignment: [.left, .left]),
    textTable([["memory", "at its peak"]] + memory, alignment: [.left, .right]), memoryCurve(prediction.memoryChoice),
    measuredTimes(prediction.calibration), neighbourTable(prediction),
  ] + automatic).joined(separator: "\n\n")
}

/// What the prediction was made from.
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

/// What would change if one thing did.
private func neighbourTable(_ prediction: CostPrediction) -> String {
  func row(_ name: String, _ evaluations: Int, _ seconds: Double, _ peak: Int, _ disk: Int) -> [String] {
    [name, grouped(evaluations), duration(seconds), size(peak), size(disk)]
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

/// Where branching states are kept.
private func slots(memory: Int, disk: Int, repeated: Int) -> String {
  var parts = ["\(memory) kept in memory at once"]
  if disk > 0 { parts.append("\(disk) on disk") }
  if repeated > 0 { parts.append("\(grouped(repeated)) updates to make others again") }
  return parts.joined(separator: ", ")
}

/// What more or less memory would buy, from the least to the most, as a row of bars and its two ends.
private func memoryCurve(_ choice: MemoryChoice) -> String {
  let all = Array(choice.curve.reversed())
  let points = all.count <= 60 ? all : (0..<60).map { all[$0 * (all.count - 1) / 59] }
  guard let least = points.first, let most = points.last, points.count > 1 else {
    return "Every activation is kept; computing some again would save no memory."
  }
  let bars = Array("▁▂▃▄▅▆▇█")
  let fastest = most.secondsPerUpdate, slowest = least.secondsPerUpdate
  let line = points.map { point in
    let height = (point.secondsPerUpdate - fastest) / max(slowest - fastest, .leastNonzeroMagnitude)
    return bars[Int((height * Double(bars.count - 1)).rounded())]
  }
  func end(_ point: MemoryChoice.Point) -> String {
    "\(size(point.peakBytes)): \(milliseconds(point.secondsPerUpdate)) an update"
  }
  return """
    Time against memory: \(String(line))  (\(end(least)); \(end(most)))
    \(describe(choice))
    """
}

/// What was chosen for a memory budget, or for none.
func describe(_ choice: MemoryChoice) -> String {
  let repeated = choice.chosen.repeatedPasses
  let activations =
    repeated == 0
    ? "every activation kept" : "\(repeated) forward passes of \(choice.stages) stages run again in each update"
  return """
    \(count(choice.lanes, "lane")), \(activations): \(size(choice.chosen.peakBytes)) at the peak, \
    \(milliseconds(choice.chosen.secondsPerUpdate)) an update and lane
    """
}

private func milliseconds(_ seconds: Double) -> String { String(format: "%.3g ms", seconds * 1000) }

func runsTable(_ runs: [StoredRun]) -> String {
  var rows = [["run", "status", "made", "model", "data", "steps", "orders"]]
  for run in runs {
    rows.append([
      run.run, run.status, run.createdAt.formatted(.iso8601), run.configuration.model, run.configuration.data,
      grouped(run.configuration.steps), run.configuration.orders.joined(separator: " "),
    ])
  }
  return textTable(rows, alignment: [.left, .left, .left, .left, .left, .right, .left])
}

func runDescription(_ run: StoredRun) -> String {
  let description = textTable(facts(run))
  guard let result = run.result else { return description }
  return description + "\n\n" + summaryTable(result, configuration: run.configuration)
}

/// What a run is, a row a setting.
func facts(_ run: StoredRun) -> Table {
  let configuration = run.configuration
  var rows = [
    ["run", run.run],
    ["status", run.status],
    ["made", run.createdAt.formatted(.iso8601)],
    ["data", configuration.data],
    ["model", configuration.model],
    ["orders", configuration.orders.joined(separator: " ")],
    ["steps", "\(grouped(configuration.steps)), observed \(configuration.evaluate)"],
    ["batch size", configuration.batchSize.map(String.init) ?? "as the sampler's file says"],
    ["learning rate", describeLearningRate(configuration)],
    ["optimizer", describeOptimizer(configuration)],
    ["averages of forward", configuration.averages.isEmpty ? "none" : configuration.averages.map(\.description).joined(separator: " ")],
    ["sampler", configuration.sampler],
    ["seeds", configuration.seedCount == 1 ? String(configuration.seed) : "\(configuration.seeds.lowerBound) to \(configuration.seeds.upperBound - 1)"],
    ["numerics", run.fingerprint],
    ["observations", grouped(run.observationCount)],
  ]
  if let augment = configuration.augment { rows.insert(["augmentation", augment], at: 4) }
  if let initial = configuration.initial { rows.append(["initial state", initial]) }
  return Table(rows: rows, alignment: [.left, .left])
}

private func describeLearningRate(_ configuration: RunConfiguration) -> String {
  let warmUp = configuration.warmUp > 0 ? ", warm-up of \(grouped(configuration.warmUp)) updates" : ""
  let schedule =
    configuration.schedule == "constant"
    ? "" : ", \(configuration.schedule) over \(grouped(configuration.scheduleSteps)) updates by \(configuration.scheduleIndex.rawValue)"
  return "\(configuration.learningRate)\(schedule)\(warmUp)"
}

private func describeOptimizer(_ configuration: RunConfiguration) -> String {
  configuration.optimizer + (configuration.weightDecay.map { ", weight decay \($0)" } ?? "")
}

/// Where an iterate was taken from and what its digest says.
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
