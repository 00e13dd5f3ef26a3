import Backtrail
import Foundation
import Reports

/// A summary of the costs of one rewind.
func rewindSummary(_ result: RewindResult) -> String {
  var lines = [
    """
    \(count(result.updates, "update")) for \(count(result.from - result.to, "state")) with \(count(result.slots, "slot")) in \
    memory, \(size(result.memoryBytes)), and \(grouped(result.diskSlots)) on disk, \(size(result.diskBytes)); \
    \(duration(result.seconds))
    """
  ]
  if result.isApproximate {
    lines.append(
      """
      Slots were rounded to \(result.slotPrecision), so states are approximate; how far they are from the exact ones, \
      --sweep --slot-precision \(result.slotPrecision) measures.
      """)
  }
  return lines.joined(separator: "\n")
}

/// A line about a point of a sweep, printed while the sweep goes on.
func describe(_ point: RewindSweep.Point) -> String {
  """
  \(point.tier), \(point.precision), \(count(point.slots, "slot")): \
  \(size(point.storedBytes)), \(count(point.updates, "update")), \(duration(point.seconds))
  """
}

/// The output of `rewind --sweep`.
func sweepTable(_ sweep: RewindSweep, of run: RunDescription) -> String {
  var rows = [
    [
      "kept in", "as", "slots", "stored", "updates", "recomputed", "time", "writes", "reads", "exact states", "distance", "worst",
      "loss error", "worst",
    ]
  ]
  for point in sweep.points {
    rows.append([
      point.tier, point.precision, grouped(point.slots), size(point.storedBytes), grouped(point.updates),
      grouped(point.recomputedUpdates), duration(point.seconds), grouped(point.diskWrites), grouped(point.diskReads),
      point.identicalStates == point.states ? "all" : grouped(point.identicalStates),
      short(point.error?.meanDistance), short(point.error?.worstDistance), short(point.error?.meanLossDifference),
      short(point.error?.worstLossDifference),
    ])
  }
  let states = grouped(sweep.from - sweep.to)
  let isTimed = sweep.points.contains { $0.predictedSeconds != nil }
  var notes = [
    """
    \(states) states of \(size(sweep.stateBytes)) each, \(grouped(sweep.from - 1)) … \(grouped(sweep.to)) on the path of \
    iterate \(grouped(sweep.from)) of \(sweep.order). Stored: at most at once; on disk, the sizes of files.
    """,
    """
    Recomputed: updates beyond the \(grouped(sweep.firstPassUpdates)) of the first pass. Schedules are those with \
    \(isTimed ? "the least time by the measured times of an update, a write and a read" : "the fewest updates").
    """,
  ]
  if sweep.points.contains(where: { $0.error != nil }) {
    notes.append(
      """
      Rounded slots: distance of parameters and buffers to the exact state, in units of its way from the initial state; loss \
      error: |difference of the training loss|\(run.loss.unit.map { ", \($0)" } ?? ""); both means over all states visited.
      """)
  }
  let alignment: [Table.Alignment] = [.left, .left] + Array(repeating: .right, count: 12)
  return textTable(rows, alignment: alignment) + "\n\n" + notes.joined(separator: "\n")
}

private func short(_ value: Double?) -> String {
  guard let value else { return "-" }
  return value == 0 ? "0" : String(format: "%.1e", value)
}

/// The points as comma-separated values with a header. Errors are empty if slots round nothing.
func sweepCSV(_ sweep: RewindSweep) -> String {
  let header = [
    "tier", "precision", "slots", "stored_bytes", "updates", "predicted_updates", "recomputed_updates", "seconds",
    "predicted_seconds", "disk_writes", "disk_reads", "identical_states", "states", "mean_distance", "worst_distance",
    "mean_loss_difference", "worst_loss_difference",
  ]
  func text(_ value: Double?) -> String { value.map { String(format: "%.9g", $0) } ?? "" }
  let rows = sweep.points.map { point in
    [
      point.tier, point.precision, String(point.slots), String(point.storedBytes), String(point.updates),
      String(point.predictedUpdates), String(point.recomputedUpdates), text(point.seconds), text(point.predictedSeconds),
      String(point.diskWrites), String(point.diskReads), String(point.identicalStates), String(point.states),
      text(point.error?.meanDistance), text(point.error?.worstDistance), text(point.error?.meanLossDifference),
      text(point.error?.worstLossDifference),
    ]
  }
  return ([header] + rows).map { $0.joined(separator: ",") + "\n" }.joined()
}
