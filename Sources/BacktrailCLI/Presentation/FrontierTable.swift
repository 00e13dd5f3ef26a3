import Backtrail
import Foundation
import Reports

/// The output of `frontier`.
func frontierTable(_ frontier: Frontier, of run: RunDescription, showsAll: Bool) -> String {
  guard frontier.exact != nil else {
    return [nothingToCompareWith, comparisonTable(frontier, of: run), settingTable(frontier.settings)].compactMap { $0 }.joined(separator: "\n\n")
  }
  var table = frontierPoints(frontier, showsAll: showsAll)
  // A terminal marks rows with a star that a page prints in bold.
  table.header.insert("", at: 0)
  table.alignment.insert(.left, at: 0)
  for row in table.rows.indices { table.rows[row].insert(table.marked.contains(row) ? "*" : "", at: 0) }
  var notes = frontierNotes(frontier, mark: "*")
  let hidden = frontier.points.count - table.rows.count
  if hidden > 0 { notes.append("\(hidden) points more with --all-points, --csv or --json.") }
  let parts: [String?] = [
    textTable(table), notes.joined(separator: "\n"), comparisonTable(frontier, of: run), settingTable(frontier.settings),
  ]
  return parts.compactMap { $0 }.joined(separator: "\n\n")
}

/// What is said instead of a comparison where backward has diverged for every seed.
let nothingToCompareWith = "Exact backward has diverged for every seed, so there is nothing to compare with. Take a smaller learning rate."

/// A table with a row for each point. Points without a cheaper and better one are marked.
/// - Parameter showsAll: Whether every point has a row. Otherwise only the Pareto front is shown, and for each order
///   its whole schedule and the cheapest one whose error is at most a tenth larger.
func frontierPoints(_ frontier: Frontier, showsAll: Bool) -> Table {
  let shown = showsAll ? frontier.points : worthShowing(frontier.points)
  let errors = frontier.exact?.errors ?? []
  var table = Table(
    header: [
      "order", "schedule", "gradient evaluations", "of exact", "time", "memory", "on disk", "loss error", "worst",
    ] + errors.dropFirst().map { "\($0.metric.shortTitle) error" } + ["noise", "skill"],
    rows: shown.map { point in
      let isExact = point.series == frontier.exact?.series && point.lossError.mean == 0
      return [
        point.series.description, point.schedule, grouped(point.gradientEvaluations),
        String(format: point.costFraction < 0.0995 ? "%.1f %%" : "%.0f %%", 100 * point.costFraction),
        duration(point.seconds), size(point.peakBytes), size(point.storedBytes), estimate(point.lossError),
        short(point.errors[0].worst.mean),
      ] + point.errors.dropFirst().map { short($0.mean.mean) } + [
        point.noise.map { short($0.mean) } ?? "-",
        isExact ? "exact" : point.skill.map { estimate($0, digits: 2) + (point.hasSkill ? "" : ", none") } ?? "-",
      ]
    },
    alignment: [.left, .left] + Array(repeating: .right, count: 8 + errors.count),
    marked: Set(shown.indices.filter { shown[$0].isOptimal }))
  if frontier.measuresDistance {
    let column = table.header.count - 1
    table.header.insert("distance", at: column)
    table.alignment.append(.right)
    for (row, point) in shown.enumerated() {
      table.rows[row].insert(point.distance.map { String(format: "%.3f", $0.mean) } ?? "-", at: column)
    }
  }
  return table
}

extension Frontier {
  fileprivate var metrics: [Metric] { exact?.errors.map(\.metric) ?? [] }

  fileprivate var measuresDistance: Bool { points.contains { $0.distance != nil } }
}

/// The explanation of the columns.
/// - Parameter mark: How points without a cheaper and better one are marked.
func frontierNotes(_ frontier: Frontier, mark: String) -> [String] {
  let seeds = frontier.seeds > 1 ? "means over \(frontier.seeds) seeds ± 95 % confidence" : "one seed, so no confidence: give --seeds 6"
  var notes = [
    """
    Errors: |difference| of \(metricNames(frontier.metrics)) to the exact backward curve at its \(grouped(frontier.comparedCount)) observed n \
    from \(grouped(frontier.comparedFrom)) to \(grouped(frontier.comparedTo)), observations joined by lines in log n; \(seeds).
    """,
    """
    Costs: one seed, alone. \(mark): nothing cheaper errs less. Noise: standard deviation of the loss from one observed n to \
    the next.
    """,
  ]
  let left = (frontier.diverged ?? []).map(\.series.description)
  if !left.isEmpty {
    notes.append("Diverged, see below: \(left.joined(separator: ", ")). Seeds for which exact backward did, and others that did for the rest, are left out.")
  }
  if frontier.measuresDistance {
    notes.append(
      "Distance: of the parameters at the last n to exact backward's, in units of its way from the initial state.")
  }
  if let best = frontier.guesses.first {
    let others = frontier.guesses.dropFirst().map { "\($0.name) \(short($0.lossError.mean))" }.joined(separator: ", ")
    notes.append(
      """
      Skill: 1 − loss error / \(short(best.lossError.mean)), the error of the best free guess: \(best.name) (\(others)). \
      "none": not above 0 with 95 % confidence.
      """)
  }
  return notes
}

private func worthShowing(_ points: [Frontier.Point]) -> [Frontier.Point] {
  let bySeries = Dictionary(grouping: points.indices, by: { points[$0].series })
  var kept = Set(points.indices.filter { points[$0].isOptimal })
  for indices in bySeries.values {
    // Points are in the order of cost.
    guard let whole = indices.last else { continue }
    kept.insert(whole)
    if let enough = indices.first(where: { points[$0].lossError.mean <= 1.1 * points[whole].lossError.mean }) { kept.insert(enough) }
  }
  return kept.sorted().map { points[$0] }
}

/// A table that compares orders, averages and baselines.
private func comparisonTable(_ frontier: Frontier, of run: RunDescription) -> String {
  let notes = divergenceNotes(frontier.comparison, of: run).map { "\n\($0)" }.joined()
  return textTable(comparison(frontier.comparison, metrics: run.problem.metrics, seeds: run.workload.seedCount)) + """


    \(metricNames(run.problem.metrics, isCapitalized: true)): mean over the last quarter\(run.workload.seedCount > 1 ? " ± spread between seeds" : ""). At any one n backward is as \
    good as forward on average; averages, a falling learning rate or larger batches are quiet too, at these costs.\(notes)
    """
}

/// A table of the costs of settings; nil if none were tried.
private func settingTable(_ points: [SettingPoint]) -> String? {
  guard !points.isEmpty else { return nil }
  var rows = [["setting", "gradient evaluations", "time", "memory", "on disk", "to bring an iterate back", "loss error", "same bits"]]
  for point in points {
    rows.append([
      point.setting.isEmpty ? "(as asked)" : "--\(point.setting) \(point.value)", grouped(point.gradientEvaluations), duration(point.seconds),
      size(point.peakBytes), size(point.storedBytes), String(format: "%.0f updates", point.recallEvaluations),
      estimate(point.lossError), point.hasSameBits ? "yes" : "no",
    ])
  }
  return textTable(rows, alignment: [.left] + Array(repeating: .right, count: 7))
    + "\n\nSettings: measured with forward and backward order observed ten times. Loss error: of backward, against the run as asked."
}

/// A number with few digits, for errors.
private func short(_ value: Double) -> String {
  value == 0 ? "0" : decimal(value < 0.00095 ? "%.5f" : "%.4f", value)
}

private func estimate(_ estimate: Estimate, digits: Int? = nil) -> String {
  func text(_ value: Double) -> String { digits.map { String(format: "%.\($0)f", value) } ?? short(value) }
  return text(estimate.mean) + (estimate.halfWidth.map { " ± " + text($0) } ?? "")
}

/// The names of metrics as part of a sentence: `test loss and accuracy`.
func metricNames(_ metrics: [Metric], isCapitalized: Bool = false) -> String {
  let names = metrics.enumerated().map { $0 == 0 ? $1.title : $1.shortTitle }
  let sentence = names.count < 2 ? names.joined() : names.dropLast().joined(separator: ", ") + " and " + names[names.count - 1]
  return isCapitalized ? sentence.prefix(1).uppercased() + sentence.dropFirst() : sentence
}

extension Metric {
  /// The title without the data it is measured on: `accuracy` for `testAccuracy`.
  var shortTitle: String { title.hasPrefix("test ") ? String(title.dropFirst("test ".count)) : title }
}

/// The points as comma-separated values with a header. The half-width of an interval is empty for one seed.
func frontierCSV(_ frontier: Frontier) -> String {
  let others = frontier.metrics.dropFirst().map { $0.shortTitle.replacing(" ", with: "_") }
  let header = [
    "order", "schedule", "gradient_evaluations", "cost_fraction", "seconds", "peak_bytes", "stored_bytes",
    frontier.metrics.first?.title.replacing(" ", with: "_") ?? "loss", "loss_error", "loss_error_half_width", "worst_loss_error",
  ] + others.flatMap { ["\($0)_error", "worst_\($0)_error"] } + [
    "noise", "distance", "skill", "skill_half_width", "has_skill", "is_optimal",
  ]
  func text(_ value: Double?) -> String { value.map { String(format: "%.9g", $0) } ?? "" }
  func quoted(_ value: String) -> String {
    value.contains { $0 == "," || $0 == "\"" } ? "\"" + value.replacing("\"", with: "\"\"") + "\"" : value
  }
  let rows = frontier.points.map { point in
    [
      quoted(point.series.description), quoted(point.schedule), String(point.gradientEvaluations), text(point.costFraction),
      text(point.seconds), String(point.peakBytes), String(point.storedBytes), text(point.loss.mean), text(point.lossError.mean),
      text(point.lossError.halfWidth), text(point.errors[0].worst.mean),
    ] + point.errors.dropFirst().flatMap { [text($0.mean.mean), text($0.worst.mean)] } + [
      text(point.noise?.mean), text(point.distance?.mean), text(point.skill?.mean), text(point.skill?.halfWidth),
      String(point.hasSkill), String(point.isOptimal),
    ]
  }
  return ([header] + rows).map { $0.joined(separator: ",") + "\n" }.joined()
}
