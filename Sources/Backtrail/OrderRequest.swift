import Replay

/// An order as it is asked for: `tail:50`, or `tail:50@every:20` with a schedule of its own.
struct OrderRequest {
  /// The order's specification.
  let order: String
  /// Nil for the run's.
  let ownSchedule: String?
  /// When its iterates are observed.
  let schedule: String

  /// Which orders a τ is looked for in; nil where it is given.
  var automaticFamily: TailFamily? {
    TailFamily.allCases.first { order == $0.automaticOrder }
  }

  /// - Parameter runSchedule: the run's schedule.
  init(_ specification: String, otherwise runSchedule: String = "") {
    let parts = specification.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    if let at = specification.lastIndex(of: "@"), filePath(in: specification) != nil {
      // What follows an @ in a file's name need not be a schedule.
      let end = String(specification[specification.index(after: at)...])
      let isSchedule = (try? EvaluationSchedule(end)) != nil
      order = isSchedule ? String(specification[..<at]) : specification
      ownSchedule = isSchedule ? end : nil
    } else {
      order = parts[0]
      ownSchedule = parts.count > 1 ? parts[1] : nil
    }
    schedule = ownSchedule ?? runSchedule
  }
}
