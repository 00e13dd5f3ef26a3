import Backtrail
import Reports

/// A chart of a metric by n with one line per series, and a band for each if there are several seeds.
/// - Parameters:
///   - place: The index of the metric in the run's metrics.
///   - first: The first n shown.
func curveChart(
  _ observed: [ObservedSeries], metric place: Int = 0, from first: Int = 1, of run: RunDescription
) -> Chart {
  // The interval of two values is so wide that it would hide the curves. Intervals are cut to the possible values.
  let isBanded = run.workload.seedCount > 2
  let metric = run.problem.metrics[place]
  // Values below zero are only considered possible if there are any.
  let isNegative = observed.contains { $0.seeds.contains { $0.contains { $0.measurements.values[place] < 0 } } }
  let possible = max(metric.least, isNegative ? metric.least : 0)...metric.greatest
  let series = observed.map { series in
    Chart.Series(
      legendName(series.name),
      points: (series.curve(place).filter { $0.n >= first }.map { n, estimate in
        let interval = isBanded && estimate.halfWidth != nil ? estimate.interval.clamped(to: possible) : nil
        return Chart.Point(x: Double(n), y: estimate.mean, interval: interval)
      } + series.holes.filter { $0 >= first }.map { Chart.Point(x: Double($0), y: .nan) }).sorted { $0.x < $1.x })
  }
  let values = series.flatMap(\.points).map(\.y).filter(\.isFinite)
  let isWide = (values.min() ?? 1) > 0 && (values.max() ?? 1) > 8 * (values.min() ?? 1)
  return Chart(
    title: run.title,
    note: over(run.workload.seedCount, intervals: "Bands") + divergence(observed, seeds: run.workload.seedCount),
    x: Chart.Axis("n, batches", isLogarithmic: run.isObservedByLogarithm),
    y: Chart.Axis(metric.axisTitle, isLogarithmic: isWide && metric.isLessBetter), series: series)
}

/// A chart of the training loss of the last update by n; nil if fewer than two were noted of every series.
func trainingChart(_ observed: [ObservedSeries], of run: RunDescription) -> Chart? {
  let series = observed.map { series in
    Chart.Series(legendName(series.name), points: series.trainingCurve().map { Chart.Point(x: Double($0.n), y: $0.estimate.mean) })
  }.filter { $0.points.count > 1 }
  guard !series.isEmpty else { return nil }
  return Chart(
    title: run.title, note: over(run.workload.seedCount, intervals: "Bands"),
    x: Chart.Axis("n, batches", isLogarithmic: run.isObservedByLogarithm),
    y: Chart.Axis("training loss" + (run.loss.unit.map { ", \($0)" } ?? "")), series: series)
}

/// A chart of the neighbour noise along each curve; nil if no curve is observed evenly and often enough.
func noiseChart(_ observed: [ObservedSeries], of run: RunDescription) -> Chart? {
  let series = observed.map { series in
    Chart.Series(legendName(series.name), points: series.noise().map { Chart.Point(x: Double($0.n), y: $0.noise) })
  }
  guard series.contains(where: { $0.points.count > 1 }) else { return nil }
  return Chart(
    title: run.title,
    note: "Standard deviation of \(ObservedSeries.changeCount) changes in a row\(run.workload.seedCount > 1 ? ", mean over seeds." : ".")",
    x: Chart.Axis("n, batches"), y: Chart.Axis("neighbour noise" + (run.loss.unit.map { ", \($0)" } ?? ""), isLogarithmic: true), series: series)
}

/// A note about curves that end or have holes; empty if there are none.
private func divergence(_ observed: [ObservedSeries], seeds: Int) -> String {
  let parts = observed.compactMap { series -> String? in
    let diverged = series.firstDivergences
    guard let first = diverged.map(\.n).min() else { return nil }
    return legendName(series.name) + (seeds > 1 ? " for \(diverged.count) seeds, first" : "") + " at \(first)"
  }
  guard !parts.isEmpty else { return "" }
  return " Diverged: \(parts.joined(separator: "; "))." + (seeds > 1 ? " Means are of the seeds left, which are selected." : "")
}

/// A note about means and intervals over several seeds.
private func over(_ seeds: Int, intervals: String) -> String {
  switch seeds {
  case 1: ""
  case 2: "Means over 2 seeds."
  default: "Means over \(seeds) seeds. \(intervals): 95 % confidence."
  }
}

/// A chart of the error against the exact backward curve by cost, in which the Pareto front is joined by a line.
func frontierChart(_ frontier: Frontier, of run: RunDescription) -> Chart {
  let shown = frontier.points.filter { $0.lossError.mean > 0 }
  func point(_ point: Frontier.Point) -> Chart.Point {
    Chart.Point(
      x: Double(point.gradientEvaluations), y: point.lossError.mean,
      interval: frontier.seeds > 2 ? point.lossError.interval : nil,
      label: point.isOptimal ? point.schedule : nil)
  }
  // Series have the order of curve charts, so that their colours are the same.
  let families = run.workload.sorted(Array(Set(frontier.points.map(\.series))))
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
  series += families.map { name in Chart.Series(name.shortName, style: .marks, points: shown.filter { $0.series == name }.map(point)) }
  return Chart(
    title: run.title, note: over(frontier.seeds, intervals: "Bars"),
    x: Chart.Axis("gradient evaluations", isLogarithmic: true),
    y: Chart.Axis("mean |\(run.loss.title) − exact backward's|" + (run.loss.unit.map { ", \($0)" } ?? ""), isLogarithmic: true), series: series)
}

/// A short name for the series or baseline, for legends.
private func legendName(_ name: String) -> String { Series(name)?.shortName ?? name }
