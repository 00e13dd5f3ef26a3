import Backtrail
import Datasets
import Networks
import Replay
import Storage
import Tensors

/// How the command ends, in sysexits' numbers.
enum ExitStatus: Int32 {
  case usage = 64
  case badData = 65
  case missingInput = 66
  case cannotCreate = 73
  case inputOutput = 74
  case interrupted = 75
  case impossible = 78

  /// Nil for errors that are not Backtrail's own.
  init?(of error: any Error) {
    switch error {
    case let error as RunError:
      self =
        switch error {
        case .usage: .usage
        case .impossible, .diverged: .impossible
        case .missing: .missingInput
        case .damaged: .badData
        case .interrupted: .interrupted
        }
    case let error as DatasetError:
      self =
        switch error {
        case .unknown: .usage
        case .missing: .missingInput
        case .damaged: .badData
        case .impossible: .impossible
        case .cannotWrite: .cannotCreate
        }
    case let error as NetworkError:
      self =
        switch error {
        case .unreadable: .usage
        case .shape: .impossible
        case .stateMismatch: .badData
        }
    case let error as OrderError:
      self =
        switch error {
        case .unknown, .sizeMissing: .usage
        case .unreadableRun, .unreadableLine, .tooLong, .tooLongLine, .empty: .badData
        }
    case ReplayError.tooManyUpdates:
      self = .impossible
    case let error as RewindError:
      self =
        switch error {
        case .noStates, .negativeSlots: .usage
        case .tooManyStates, .memorySlotNeeded, .storageMissing, .sequenceTooShort: .impossible
        }
    case is ScheduleError, is AverageError:
      self = .usage
    case let error as StorageError:
      self =
        switch error {
        case .exists, .cannotCreate, .noSlotFiles, .inUse: .cannotCreate
        case .notARun, .neverMade: .missingInput
        case .damaged, .lost, .mismatch: .badData
        case .failed: .inputOutput
        }
    case is TensorError:
      self = .impossible
    case let error as OutputError:
      self =
        switch error {
        case .cannotWrite: .cannotCreate
        case .diskFull: .inputOutput
        }
    case let stop as RewindStop:
      self =
        switch stop {
        case .interrupted: .interrupted
        case .outputClosed: .inputOutput
        }
    default:
      return nil
    }
  }
}
