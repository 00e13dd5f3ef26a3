import Backtrail
import Foundation
import Replay
import Reports

/// The contents of a report about a run.
struct ReportContents {
  private let stored: StoredRun
  private let observed: [ObservedSeries]
  /// The opened run, with its data read again, or the error that prevented that.
  private let run: Result<NetworkRun, any Error>
  /// The comparison with backward, or why there is none; nil for a run that is not finished.
  private let frontier: Result<Frontier, any Error>?

  private var workload: WorkloadDescription { stored.workload }
  private var metrics: [Metric] { stored.problem.metrics }

  init(_ stored: StoredRun) async throws {
    self.stored = stored
    observed = try stored.observed()
    // No iterate is computed again, so different numerics do not matter.
    let opened = Result { try NetworkRun.open(stored.run, allowNumericsChange: true) }
    run = opened
    guard stored.result != nil else {
      frontier = nil
      return
    }
    do {
      frontier = .success(try await opened.get().frontier(measuresDistance: false))
    } catch {
      frontier = .failure(error)
    }
  }

  func page() -> ReportPage {
    // Orders are shown without their own schedules, which are among the settings.
    let orders = workload.orders.map { $0.hasPrefix("file:") ? $0 : String($0.prefix { $0 != "@" }) }.joined(separator: ", ")
    let batches = "\(grouped(workload.steps)) batches" + (stored.problem.settings["batchSize"].map { " of \($0)" } ?? "")
    let seeds = workload.seedCount == 1 ? "seed \(workload.seed)" : "\(workload.seedCount) seeds"
    return ReportPage(
      title: stored.description.shortName,
      subtitle: "\(orders); \(batches), \(seeds); \(stored.status)",
      sections: [results, curves, noise, frontierSection, cost, settings, reproduction].compactMap { $0 })
  }

  // MARK: Results

  private var results: ReportPage.Section {
    guard let result = stored.result else { return progress }
    let found = findings(result, of: stored.description)
    var blocks: [ReportPage.Block] = [
      .table(comparison(result.summary + stored.baselines.map(\.summary), metrics: metrics, seeds: workload.seedCount))
    ]
    blocks += reading(result).map { .paragraph($0) }
    blocks.append(
      .list(
        summaryNotes(result, of: stored.description)
          + divergenceNotes(result.summary + stored.baselines.map(\.summary), of: stored.description)))
    if !found.isEmpty { blocks += [.paragraph("What automatic orders and schedules came to:"), .list(found)] }
    return .init("Orders compared", blocks)
  }

  /// Sentences on how to read the comparison, which say no more than it shows.
  private func reading(_ result: RunResult) -> [String] {
    let series = result.summary.compactMap(\.series)
    var sentences: [String] = []
    if series.contains(.forward), series.contains(where: { $0.order != nil && $0 != .forward }) {
      sentences.append(
        """
        Orders that apply the same batches once each, such as forward and backward, are equally good on average at any fixed n: \
        with independent batches their iterates have the same distribution, and what parts their losses here is chance. Backward \
        order is not better training. What it changes is the path: where updates contract, its loss changes less from n to n + 1, which \
        the neighbour noise shows. Averaging forward's iterates quietens the path too, for no gradient evaluation, so judge what \
        reversal costs against that.
        """)
    }
    func noise(_ series: Series) -> Double? { result.summary.first { $0.series == series }?.neighbourNoise }
    if let forward = noise(.forward), let backward = noise(.backward), forward > 0, backward > 0 {
      let ratio = String(format: "%.2g", forward / backward)
      sentences.append("In this run forward's neighbour noise is \(ratio) times backward's.")
      if forward < 1.25 * backward { sentences.append("So backward order is no quieter here to speak of, as where updates don't contract.") }
    }
    if series.contains(where: \.reusesBatches) {
      sentences.append(
        """
        Sliding orders apply each batch several times: at the same n they have had more updates, so compare them at equal gradient \
        evaluations.
        """)
    }
    return sentences
  }

  /// The progress of a run that is not finished.
  private var progress: ReportPage.Section {
    let state =
      switch stored.status {
      case "interrupted": "This run was interrupted."
      case "failed": "This run was stopped by an error."
      default: "This run is not finished; it may be going on."
      }
    var blocks: [ReportPage.Block] = [
      .notice("\(state) What it has observed so far is below; nothing of it will be computed again.")
    ]
    blocks +=
      stored.description.isOfTheCommand
      ? [.paragraph("Go on with:"), .command(stored.resumeCommand)] : [.paragraph("The program that made it goes on with it.")]
    let planned = planned
    let rows = observed.map { series in
      let seen = series.seeds.reduce(0) { $0 + $1.count } + series.diverged.values.reduce(0) { $0 + $1.count }
      let last = series.seeds.compactMap(\.last?.n).max() ?? 0
      let values = metrics.indices.map { metric in
        series.curve(metric).last.map { String(format: "%.4f", $0.estimate.mean) } ?? "-"
      }
      return [series.name, grouped(seen), planned?[series.name].map(grouped) ?? "-", grouped(last)] + values
    }
    if rows.isEmpty {
      blocks.append(.paragraph("Nothing has been observed yet."))
    } else {
      blocks.append(
        .table(
          Table(
            header: ["order", "observations", "planned", "last n"] + metrics.map { "\($0.title) there" }, rows: rows,
            alignment: [.left] + Array(repeating: .right, count: 3 + metrics.count))))
    }
    let diverged = divergenceNotes(observed.map { ($0.name, $0.firstDivergences) }, of: stored.description)
    if !diverged.isEmpty { blocks.append(.list(diverged)) }
    return .init("So far", blocks)
  }

  /// The number of planned observations of each series over all seeds, as far as it is known; nil if the run can't be
  /// opened.
  private var planned: [String: Int]? {
    guard let run = try? run.get() else { return nil }
    var counts: [String: Int] = [:]
    for (order, points) in zip(run.specification.selection.orders, run.specification.selection.points) {
      let count = points.count * workload.seedCount
      counts[order.description] = count
      for average in order == .forward ? run.workload.averageSeries : [] { counts[average.description] = count }
    }
    return counts
  }

  // MARK: Charts

  private var curves: ReportPage.Section? {
    let observed = observed + stored.baselines.map(\.observed)
    guard observed.contains(where: { $0.curve().count > 1 }) else { return nil }
    let half = max(1, workload.steps / 2)
    let hasLateHalf = observed.contains { series in series.curve().count { $0.n >= half } >= 8 }
    var charts: [Chart] = []
    for (place, metric) in metrics.enumerated() {
      let title = metric.title.prefix(1).uppercased() + metric.title.dropFirst() + " by n"
      var chart = curveChart(observed, metric: place, of: stored.description)
      chart.title = title
      charts.append(chart)
      if place == 0, hasLateHalf {
        var late = curveChart(observed, from: half, of: stored.description)
        late.title = title + ", the last half"
        charts.append(late)
      }
    }
    var blocks = charts.map { ReportPage.Block.chart($0) }
    if var chart = trainingChart(observed, of: stored.description) {
      chart.title = "Training loss of the last update by n"
      blocks += [
        .chart(chart),
        .paragraph(
          """
          The mean loss over the batch of an iterate's last update, of the state before it: batch n for forward, batch 1 for backward, \
          tails and splices. One batch is a small sample, and each order has another one, so compare a curve with itself.
          """),
      ]
    }
    return .init("Curves", blocks)
  }

  private var noise: ReportPage.Section? {
    guard var chart = noiseChart(observed, of: stored.description) else { return nil }
    chart.title = "How much the \(metrics[0].title) jumps from one observed n to the next"
    return .init(
      "Neighbour noise",
      [
        .chart(chart),
        .paragraph(
          """
          A forward curve keeps jumping as each new batch moves it; a backward curve settles, as far as updates contract. What \
          is left of a steep fall early on counts here as noise too.
          """),
      ])
  }

  private var frontierSection: ReportPage.Section? {
    switch frontier {
    case nil: return nil
    case .failure(let error): return .init("Frontier", [.paragraph("Not compared: \(Failure(error)?.words ?? "an error").")])
    case .success(let frontier) where frontier.exact == nil: return .init("Frontier", [.paragraph(nothingToCompareWith)])
    case .success(let frontier):
      var chart = frontierChart(frontier, of: stored.description)
      chart.title = "Error against the exact backward curve, by cost"
      let table = frontierPoints(frontier, showsAll: false)
      var notes = frontierNotes(frontier, mark: "Bold")
      let hidden = frontier.points.count - table.rows.count
      if hidden > 0 { notes.append("\(hidden) points more in the chart and by 'backtrail frontier --run RUN --all-points'.") }
      return .init(
        "Frontier",
        [
          .paragraph("What cheaper ways to the exact backward curve cost, and how near to it they come on the same batches."),
          .chart(chart), .table(table), .list(notes),
        ])
    }
  }

  // MARK: Costs and settings

  private var cost: ReportPage.Section? {
    guard let result = stored.result else { return nil }
    func rate(_ seconds: Double?) -> String { seconds.map { String(format: "%.3g ms", 1000 * $0) } ?? "-" }
    let table = Table(
      header: ["", "planned", "measured"],
      rows: [
        ["gradient evaluations", grouped(result.predictedGradientEvaluations), grouped(result.gradientEvaluations)],
        ["peak memory", size(result.predictedPeakBytes), size(result.peakResidentBytes)],
        ["time, on \(count(result.lanes, "lane"))", "-", duration(result.wallSeconds)],
        ["an update, of one lane", "-", rate(result.secondsPerUpdate)],
        ["an observation, of one lane", "-", rate(result.secondsPerObservation)],
      ] + (result.averagingSeconds.map { [["averages kept, in all lanes", "-", duration($0)]] } ?? []) + [
        ["checkpoints stored", "-", size(result.checkpointBytes)],
        ["one training state", "-", size(result.stateBytes)],
      ], alignment: [.left, .right, .right])
    return .init(
      "Cost against plan",
      [
        .table(table),
        .paragraph("Counts and times are of the call that finished the run; after an interruption that is the part that was left."),
      ])
  }

  private var settings: ReportPage.Section { .init("The run", [.facts(facts(stored))]) }

  private var reproduction: ReportPage.Section {
    var sentence = "The same iterates, bit for bit, where the numerics are the same: \(stored.fingerprint)."
    if stored.fingerprint.hasPrefix("mixed") {
      sentence = "The run went on with other numerics than it began with (\(stored.fingerprint)), so another one has other bits."
    }
    if let budget = workload.costBudget, budget.seconds != nil {
      sentence += " Which of them are observed depends on the machine's speed, since the cost budget is a time."
    }
    let again: [ReportPage.Block] =
      stored.commands.isEmpty
      ? [.paragraph("No command makes this run: it is of \(stored.problem.name), in the program that made it.")]
      : stored.commands.map { .command($0) }
    return .init("Making it again", again + [.paragraph(sentence)])
  }
}

extension Series {
  /// Whether the iterates of the series apply batches more than once.
  fileprivate var reusesBatches: Bool {
    switch order {
    case .sliding, .slidingForward: true
    default: false
    }
  }
}
