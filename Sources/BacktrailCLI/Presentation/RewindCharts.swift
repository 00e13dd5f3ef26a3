import Backtrail
import Reports

/// A chart of the training loss or the distance of the visited states by n. If there are many, a point is the mean of
/// neighbours, and a band shows their range.
func stateChart(
  _ states: [RewoundState], of result: RewindResult, _ quantity: RewindChartQuantity, _ run: RunDescription
) -> Chart {
  let perPoint = (states.count + 499) / 500
  let points = stride(from: 0, to: states.count, by: max(1, perPoint)).map { start in
    let group = states[start..<min(start + perPoint, states.count)]
    let values = group.map { quantity == .distance ? $0.distance : $0.trainingLoss ?? .nan }
    let (low, high) = (values.min() ?? 0, values.max() ?? 0)
    return Chart.Point(
      x: Double(group.reduce(0) { $0 + $1.n }) / Double(group.count), y: values.reduce(0, +) / Double(values.count),
      // If all values are NaN, there is no range.
      interval: perPoint > 1 && low <= high ? low...high : nil)
  }
  let y = quantity == .distance ? "distance to iterate \(result.from)" : "training loss on the next batch" + (run.loss.unit.map { ", \($0)" } ?? "")
  return Chart(
    title: "\(run.title): the path of iterate \(result.from)\(result.isApproximate ? ", \(result.slotPrecision) slots" : "")",
    x: Chart.Axis("n, updates"), y: Chart.Axis(y), series: [Chart.Series(result.order, points: points)])
}

/// A chart of seconds or updates by the bytes stored, with one line per tier and precision and points labelled with
/// slots.
func sweepChart(_ sweep: RewindSweep, _ quantity: RewindChartQuantity, _ run: RunDescription) -> Chart {
  var names: [String] = []
  for point in sweep.points where !names.contains(name(point)) { names.append(name(point)) }
  let series = names.enumerated().map { index, series in
    let points = sweep.points.filter { name($0) == series }
    return Chart.Series(
      series,
      points: points.map { point in
        Chart.Point(
          x: Double(point.storedBytes) / Double(1 << 20), y: quantity == .updates ? Double(point.updates) : point.seconds,
          label: index == 0 ? "\(point.slots)" : nil)
      })
  }
  let states = sweep.from - sweep.to
  return Chart(
    title: "\(run.title): \(states) states rewound",
    x: Chart.Axis("stored at most at once, MiB (numbers: slots)", isLogarithmic: true),
    y: Chart.Axis(quantity == .updates ? "updates" : "seconds", isLogarithmic: true), series: series)
}

private func name(_ point: RewindSweep.Point) -> String { "\(point.tier), \(point.precision)" }
