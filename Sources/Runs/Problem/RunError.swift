import Formats
import Replay
import Tensors

/// What can be wrong with a run as a whole. Messages name settings in backquotes.
public enum RunError: Error, Equatable, CustomStringConvertible {
  /// A setting that can't be understood.
  case usage(String)
  /// Settings that are fine one by one but can't be met.
  case impossible(String)
  /// A file that was given is not there.
  case missing(String)
  /// A file is there but is not what it was, or not what it should be.
  case damaged(String)
  /// Stopped by a cancelled task, with all lanes' states stored.
  case interrupted(run: String)
  /// A metric that is no number.
  case diverged(metric: Metric, series: Series, seed: Int, n: Int)

  public var description: String {
    switch self {
    case .usage(let text), .impossible(let text), .missing(let text), .damaged(let text): text
    case .interrupted(let run): "interrupted; go on with 'backtrail resume \(run)'"
    case .diverged(let metric, let series, let seed, let n):
      """
      the \(metric.title) of \(series) at iterate \(n) (seed \(seed)) is not finite: the updates diverge; what was observed \
      before is kept; try a smaller `learning-rate`
      """
    }
  }
}
