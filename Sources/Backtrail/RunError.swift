/// What can be wrong with a run as a whole. Messages name settings, and other options of the command, in backquotes; the command
/// shows them as flags.
public enum RunError: Error, Equatable, CustomStringConvertible {
  /// A setting that can't be understood.
  case usage(String)
  /// Settings that are fine one by one but can't be met.
  case impossible(String)
  /// A file that was given is not there.
  case missing(String)
  /// A file is there but is not what it was, or not what it should be.
  case damaged(String)
  /// Stopped by a signal, with all lanes' states stored.
  case interrupted(run: String)
  /// A loss that is no number.
  case diverged(order: String, seed: Int, n: Int)

  public var description: String {
    switch self {
    case .usage(let text), .impossible(let text), .missing(let text), .damaged(let text): text
    case .interrupted(let run): "interrupted; go on with 'backtrail resume \(run)'"
    case .diverged(let order, let seed, let n):
      """
      the test loss of \(order) at iterate \(n) (seed \(seed)) is not finite: the updates diverge; what was observed \
      before is kept; try a smaller `learning-rate`
      """
    }
  }
}
