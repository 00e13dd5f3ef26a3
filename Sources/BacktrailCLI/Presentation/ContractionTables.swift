import Backtrail
import Foundation
import Reports
import Runs

/// The output of `contraction`.
func contractionTables(_ result: Contraction) -> String {
  func short(_ value: Double?) -> String { value.map { decimal("%.3g", $0) } ?? "-" }
  func exponent(_ exponent: PathGrowth.Exponent) -> String {
    decimal("%.3g", exponent.value) + (exponent.halfWidth.map { " ± " + decimal("%.1g", $0) } ?? "")
  }
  let paths = [("forward", result.forward), ("backward", result.backward)]
  let summary = Table(
    header: ["path", "of", "exponent per update", "", "last half of its updates", ""],
    rows: paths.flatMap { name, path in
      [("parameters", path.exponent, path.lastHalf), ("predictions", path.function, path.functionLastHalf)].map { of, all, half in
        [name, of, exponent(all), all.region.rawValue, exponent(half), half.region.rawValue]
      }
    },
    alignment: [.left, .left, .right, .left, .right, .left])
  let blocks = Table(
    header: ["updates", "forward", "predictions", "backward", "predictions"],
    rows: zip(result.forward.blocks, result.backward.blocks).map { forward, backward in
      ["\(grouped(forward.first)) … \(grouped(forward.last))"]
        + [forward, backward].flatMap { [short($0.exponent), short($0.functionExponent)] }
    },
    alignment: Array(repeating: .right, count: 5))
  let sizes = Table(
    header: ["distance", "in rounding errors", "backward's exponent"],
    rows: result.sizes.map { [short($0.size), decimal("%.0f", $0.roundings), short($0.exponent)] },
    alignment: Array(repeating: .right, count: 3))
  let (whole, wholeFunction) = (result.tails.forwardDistance, result.tails.forwardFunctionDistance)
  let tails = Table(
    header: ["order", "distance", "of forward's", "as pairs", "of predictions", "of forward's", "as pairs"],
    rows: [["forward", short(whole), "", "", short(wholeFunction), "", ""]]
      + result.tails.points.map { point in
        [
          "tail:\(point.tail)", short(point.distance), share(point.distance, of: whole), share(point.predictedDistance, of: whole),
          short(point.functionDistance), share(point.functionDistance, of: wholeFunction),
          share(point.predictedFunctionDistance, of: wholeFunction),
        ]
      },
    alignment: [.left] + Array(repeating: .right, count: 6))
  let changes = Table(
    header: ["order", "n", "distance to n − 1", "of the way", "of predictions", "of the way"],
    rows: result.changes.map { change in
      [
        change.order, grouped(change.n), short(change.distance), share(change.distance, of: change.travelled),
        short(change.functionDistance), share(change.functionDistance, of: change.functionTravelled),
      ]
    },
    alignment: [.left, .right, .right, .right, .right, .right])
  let parts = [
    """
    \(count(result.directions, "pair")) that differ by \(result.kind == .update ? "an update" : "a random direction") at first, set back to \
    \(short(result.size)) every \(count(result.interval, "update")), along the paths of iterate \(grouped(result.iterate)).
    """,
    textTable(summary),
    """
    ±: 95 % confidence over blocks of updates and over pairs. Predictions: of the distance of what a pair predicts.
    """,
    "Exponents of blocks, in the order in which updates are applied (backward: the newest batches first):\n" + textTable(blocks),
    "The first pair at other distances. Where gradients jump, as those of ReLU do, each distance has its exponent:\n" + textTable(sizes),
    "Distances from backward's iterate \(grouped(result.iterate)):\n" + textTable(tails),
    tailWords(result.tails),
  ]
  let last =
    result.changes.isEmpty
    ? [] : ["Distances of successive iterates, and as a part of their distance from the start:\n" + textTable(changes)]
  let note = """
    Distance of predictions: root mean square over \(count(result.predictions, "test prediction")), class probabilities or values. \
    \(count(result.gradientEvaluations, "gradient evaluation")), \(duration(result.seconds)).
    """
  return (parts + last + [note]).joined(separator: "\n\n")
}

/// What the exponents say about τ, and what was measured.
private func tailWords(_ tails: TailCheck) -> String {
  func line(_ of: String, _ tail: Double?, _ measured: Int?) -> String {
    let said = tail.map { "tail:\(grouped(Int(min(1e15, $0.rounded(.up)))))" } ?? "no τ"
    return "\(of): \(said); the least measured τ that does: \(measured.map(String.init) ?? "none")"
  }
  return """
    As pairs: by what a pair's distance is changed in its first τ updates. To err by \(decimal("%.0f", 100 * tails.fraction)) % of forward's \
    distance takes, as pairs do,
    \(line("in parameters", tails.tailByExponent, tails.tailMeasured)),
    \(line("in predictions", tails.tailByFunctionExponent, tails.tailMeasuredInFunction)).
    """
}

private func share(_ part: Double, of whole: Double) -> String {
  whole > 0 ? decimal("%.2g", 100 * part / whole) + " %" : "-"
}

/// A chart of the distances of successive iterates by n, each as a part of the iterate's distance from the start, so that parameters and
/// predictions can be compared.
func contractionChart(_ result: Contraction, of run: RunDescription) -> Chart {
  let quantities: [(String, (IterateChange) -> Double)] = [
    ("parameters", { $0.distance / $0.travelled }), ("predictions", { $0.functionDistance / $0.functionTravelled }),
  ]
  let series = ["forward", "backward"].flatMap { order in
    quantities.map { name, value in
      Chart.Series(
        "\(order), \(name)",
        points: result.changes.filter { $0.order == order }.map { Chart.Point(x: Double($0.n), y: value($0)) }.filter { $0.y > 0 })
    }
  }
  return Chart(
    title: run.title, note: "Distance of iterates n and n − 1, as a part of the distance of n from the start.",
    x: Chart.Axis("n, batches", isLogarithmic: true), y: Chart.Axis("distance / distance from the start", isLogarithmic: true), series: series)
}
