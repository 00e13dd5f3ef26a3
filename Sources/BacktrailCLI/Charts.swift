import Backtrail
import Reports

/// Test loss or accuracy by n, a line an order; a band where there are several seeds.
/// - Parameter first: the first n shown.
func curveChart(
  _ observed: [ObservedSeries], _ quantity: ObservedSeries.Quantity = .testLoss, from first: Int = 1,
  of configuration: RunConfiguration
) -> Chart {
  // The interval of two values is so wide that it hides what it is about, and no interval knows what can't be.
  let isBanded = configuration.seedCount > 2
  let possible = quantity == .testLoss ? 0...Double.infinity : 0...1
  let series = observed.map { series in
    Chart.Series(
      legendName(series.name),
      points: series.curve(quantity).filter { $0.n >= first }.map { n, estimate in
        let interval = isBanded && estimate.halfWidth != nil ? estimate.interval.clamped(to: possible) : nil
        return Chart.Point(x: Double(n), y: estimate.mean, interval: interval)
      })
  }
  let values = series.flatMap(\.points).map(\.y)
  let isWide = (values.max() ?? 1) > 8 * (values.min() ?? 1)
  return Chart(
    title: title(configuration),
    note: over(configuration.seedCount, intervals: "Bands"),
    x: Chart.Axis("n, batches", isLogarithmic: configuration.isObservedByLogarithm),
    y: quantity == .testLoss ? Chart.Axis("test loss, nats", isLogarithmic: isWide) : Chart.Axis("test accuracy"), series: series)
}

/// The neighbour noise along each curve; nil where none is observed evenly and often.
func noiseChart(_ observed: [ObservedSeries], of configuration: RunConfiguration) -> Chart? {
  let series = observed.map { series in
    Chart.Series(legendName(series.name), points: series.noise().map { Chart.Point(x: Double($0.n), y: $0.noise) })
  }
  guard series.contains(where: { $0.points.count > 1 }) else { return nil }
  return Chart(
    title: title(configuration),
    note: "Standard deviation of \(ObservedSeries.changeCount) changes in a row\(configuration.seedCount > 1 ? ", mean over seeds." : ".")",
    x: Chart.Axis("n, batches"), y: Chart.Axis("neighbour noise, nats", isLogarithmic: true), series: series)
}

/// What points and their intervals are over so many seeds.
private func over(_ seeds: Int, intervals: String) -> String {
  switch seeds {
  case 1: ""
  case 2: "Means over 2 seeds."
  default: "Means over \(seeds) seeds. \(intervals): 95 % confidence."
  }
}

extension RunConfiguration {
  fileprivate var isObservedByLogarithm: Bool { self.evaluate.hasPrefix("log") || self.evaluate.hasPrefix("auto") }
}

/// Error against the exact backward curve by cost, the Pareto front joined.
func frontierChart(_ frontier: Frontier, of configuration: RunConfiguration) -> Chart {
  let shown = frontier.points.filter { $0.lossError.mean > 0 }
  func point(_ point: Frontier.Point) -> Chart.Point {
    Chart.Point(
      x: Double(point.gradientEvaluations), y: point.lossError.mean,
      interval: frontier.seeds > 2 ? point.lossError.interval : nil,
      label: point.isOptimal ? point.schedule : nil)
  }
  // In the order of curve charts, so that colours are the same.
  let families = configuration.sorted(series: Array(Set(frontier.points.map(\.series))))
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
  series += families.map { name in Chart.Series(legendName(name), style: .marks, points: shown.filter { $0.series == name }.map(point)) }
  return Chart(
    title: title(configuration), note: over(frontier.seeds, intervals: "Bars"),
    x: Chart.Axis("gradient evaluations", isLogarithmic: true),
    y: Chart.Axis("mean |test loss − exact backward's|, nats", isLogarithmic: true), series: series)
}

/// Model, data and the settings that matter most.
func title(_ configuration: RunConfiguration) -> String {
  let batch = configuration.batchSize.map { ", batch \($0)" } ?? ""
  return "\(configuration.model) on \(dataName(configuration))\(batch), learning rate \(configuration.learningRate)"
}

/// A series' name where there is little room: averages are all of forward.
private func legendName(_ series: String) -> String {
  series.hasPrefix("forward average ") ? String(series.dropFirst("forward ".count)) : series
}

/// A data set's name without a path or a long list of options.
func dataName(_ configuration: RunConfiguration) -> String {
  let name = configuration.data
  return name.contains("/") || name.count > 24 ? String(name.prefix { $0 != ":" }) : name
}
