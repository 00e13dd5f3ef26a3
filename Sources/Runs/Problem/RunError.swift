import Formats
import Replay
import Tensors

/// An error that concerns a run as a whole. Messages name settings in backquotes.
public enum RunError: Error, Equatable, CustomStringConvertible {
  /// A setting is not valid.
  case usage(String)
  /// The settings are valid one by one but can't be satisfied together.
  case impossible(String)
  /// A given file does not exist.
  case missing(String)
  /// A file exists but has changed, or is not what it should be.
  case damaged(String)
  /// A cancelled task stopped the run. The states of all lanes are stored.
  case interrupted(run: String)
  /// A metric is not finite.
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
