import Backtrail
import Replay
import Reports

/// Test loss by n, a line an order; a band where there are several seeds.
func curveChart(_ result: RunResult, of experiment: Experiment) -> Chart {
  let configuration = experiment.configuration
  let bySeries = Dictionary(grouping: result.orders + result.averages, by: \.order)
  let series = result.summary.map { summary in
    let seeds = bySeries[summary.series] ?? []
    let byN = Dictionary(grouping: seeds.flatMap(\.iterates), by: \.n)
    return Chart.Series(
      summary.series,
      points: byN.sorted { $0.key < $1.key }.map { n, iterates in
        let estimate = Estimate(iterates.map(\.testLoss))
        return Chart.Point(
          x: Double(n), y: estimate.mean, interval: estimate.halfWidth == nil ? nil : estimate.interval)
      })
  }
  let values = series.flatMap(\.points).map(\.y)
  let isWide = (values.max() ?? 1) > 8 * (values.min() ?? 1)
  let isLogarithmic = configuration.evaluate.hasPrefix("log") || configuration.evaluate.hasPrefix("auto")
  let seeds = configuration.seedCount > 1 ? "; bands: 95 % confidence over \(configuration.seedCount) seeds" : ""
  return Chart(
    title: title(experiment) + seeds,
    x: Chart.Axis("n, batches", isLogarithmic: isLogarithmic), y: Chart.Axis("test loss, nats", isLogarithmic: isWide),
    series: series)
}

/// Error against the exact backward curve by cost, the Pareto front joined.
func frontierChart(_ frontier: Frontier, of experiment: Experiment) -> Chart {
  let shown = frontier.points.filter { $0.lossError.mean > 0 }
  func point(_ point: Frontier.Point) -> Chart.Point {
    Chart.Point(
      x: Double(point.gradientEvaluations), y: point.lossError.mean,
      interval: point.lossError.halfWidth == nil ? nil : point.lossError.interval,
      label: point.isOptimal ? point.schedule : nil)
  }
  var families: [String] = []
  for point in shown where !families.contains(point.series) { families.append(point.series) }
  let front = shown.filter(\.isOptimal)
  var series = [
    Chart.Series(
      "Pareto front", style: .front,
      points: front.map { Chart.Point(x: Double($0.gradientEvaluations), y: $0.lossError.mean) })
  ]
  if let guess = frontier.guesses.first, let first = shown.first, let last = shown.last {
    series.append(
      Chart.Series(
        "best free guess", style: .reference,
        points: [first, last].map { Chart.Point(x: Double($0.gradientEvaluations), y: guess.lossError.mean) }))
  }
  series += families.map { name in Chart.Series(name, style: .marks, points: shown.filter { $0.series == name }.map(point)) }
  return Chart(
    title: title(experiment),
    x: Chart.Axis("gradient evaluations", isLogarithmic: true),
    y: Chart.Axis("mean |test loss − exact backward's|, nats", isLogarithmic: true), series: series)
}

/// Model, data and the settings that matter most; of a path, what comes before it says enough.
func title(_ experiment: Experiment) -> String {
  let name = experiment.dataset.name
  let data = name.contains("/") ? String(name.prefix { $0 != ":" }) : name
  let configuration = experiment.configuration
  return "\(configuration.model) on \(data), batch \(experiment.batchSize), learning rate \(configuration.learningRate)"
}
