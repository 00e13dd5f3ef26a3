import Foundation
import Reports
import Theory

/// The output of `theory`.
func theoryTable(_ result: TheoryResult) -> String {
  func number(_ value: Double) -> String { decimal("%.6g", value) }
  func allowed(_ check: TheoryCheck) -> String {
    switch (check.lowest, check.highest) {
    case (let low?, let high?): "\(number(low)) … \(number(high))"
    case (let low?, nil): "at least \(number(low))"
    case (nil, let high?): "at most \(number(high))"
    case (nil, nil): "anything"
    }
  }
  let rows = result.checks.map { check in
    [
      check.series, check.quantity, number(check.predicted) + (check.isOwn ? " (yours)" : ""), number(check.measured), allowed(check),
      check.pValue.map { decimal($0 < 0.001 ? "%.1e" : "%.3f", $0) } ?? "-", check.agrees ? "yes" : "NO",
    ]
  }
  let table = Table(
    header: ["order", "quantity", "predicted", "measured", "agrees from … to", "p", "agrees"], rows: rows,
    alignment: [.left, .left, .right, .right, .right, .right, .left])
  let level = (1 - result.confidence) / Double(max(1, result.tests))
  let extent = result.learningRate.map { "η \(number($0)), \(count(result.steps, "step"))" } ?? "passes of \(count(result.steps, "batch", "batches"))"
  let lines = [
    "\(result.example): \(result.formula)",
    """
    \(extent), \(count(result.seeds, "seed")) from \(result.seed) on; \
    \(count(result.gradientEvaluations, "gradient evaluation")), \(duration(result.seconds))
    """,
    "", textTable(table), "",
  ] + result.notes + [
    """
    \(count(result.tests, "test")) at \(number(100 * result.confidence)) % confidence together: each rejects where p is below \
    \(number(level)). Rows without p hold for every seed, within rounding errors.
    """
  ]
  return lines.joined(separator: "\n")
}
