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

  public var description: String {
    switch self {
    case .usage(let text), .impossible(let text), .missing(let text), .damaged(let text): text
    case .interrupted(let run): "interrupted; go on with 'backtrail resume \(run)'"
    }
  }
}
