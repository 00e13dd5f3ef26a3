import ArgumentParser
import Backtrail
import Datasets
import Formats
import Foundation
import Networks
import Replay
import Runs
import Tensors

/// The exit codes of the command: sysexits' numbers, and 1 for a result that is not as predicted.
enum ExitStatus: Int32 {
  case disagreement = 1
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
        case .impossible: .impossible
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
        case .failed: .inputOutput
        case .impossible: .impossible
        }
    case let error as NetworkError:
      self =
        switch error {
        case .unreadable: .usage
        case .shape, .ambiguous, .unavailable: .impossible
        }
    case let error as OrderError:
      self =
        switch error {
        case .unknown, .sizeMissing, .sampleSize: .usage
        case .unreadableRun, .unreadableLine, .tooLong, .tooLongLine, .empty: .badData
        }
    case ReplayError.tooManyUpdates:
      self = .impossible
    case let error as RewindError:
      self =
        switch error {
        case .noStates, .negativeSlots: .usage
        case .tooManyStates, .memorySlotNeeded, .storageMissing, .noGivenState, .sequenceTooShort: .impossible
        }
    case is ScheduleError, is AverageError:
      self = .usage
    case let error as StorageError:
      self =
        switch error {
        case .exists, .cannotCreate: .cannotCreate
        case .damaged, .lost, .mismatch: .badData
        case .failed: .inputOutput
        }
    case let error as RunFolderError:
      self =
        switch error {
        case .notARun, .neverMade: .missingInput
        case .noSlotFiles, .inUse: .cannotCreate
        }
    case let error as SafetensorsError:
      self =
        switch error {
        case .missing: .missingInput
        case .damaged: .badData
        case .tooLarge: .impossible
        case .cannotWrite: .cannotCreate
        }
    case is StateMismatch:
      self = .badData
    case is TensorError:
      self = .impossible
    case is PagingError:
      self = .inputOutput
    case let error as OutputError:
      self =
        switch error {
        case .cannotWrite: .cannotCreate
        case .diskFull, .lost, .readerGone, .folderGone: .inputOutput
        }
    default:
      return nil
    }
  }
}

/// The error that ended a command, in words for the user.
struct Failure {
  let words: String
  let status: ExitStatus

  /// Nil for errors of the argument parser, which has its own messages.
  init?(_ error: any Error) {
    if let status = ExitStatus(of: error) {
      (words, self.status) = (withFlags("\(error)".split(separator: "\n", omittingEmptySubsequences: false).map { printable(String($0)) }.joined(separator: "\n")), status)
    } else if error is CancellationError {
      (words, status) = (stopWords, .interrupted)
    } else if let error = error as? CocoaError {
      (words, status) = (Self.words(of: error), error.isMissingFile ? .missingInput : .inputOutput)
    } else if let error = error as? POSIXError {
      (words, status) = (String(cString: strerror(error.code.rawValue)), .inputOutput)
    } else if BacktrailCommand.exitCode(for: error) == .failure, !(error is ExitCode) {
      // Errors of libraries without a message of ours. Their own messages are written for programmers.
      let name = String(reflecting: type(of: error))
      (words, status) = ("an error that has no words yet, \(name), ended this command; please report how it came about", .inputOutput)
    } else {
      return nil
    }
  }

  private static func words(of error: CocoaError) -> String {
    let path = error.filePath ?? error.url?.path
    let reason = (error.underlying as? POSIXError).map { String(cString: strerror($0.code.rawValue)) }
    let fallback = error.isMissingFile ? "No such file or directory" : "reading or writing failed"
    return (path.map { "\($0): " } ?? "") + (reason ?? fallback)
  }
}

extension CocoaError {
  fileprivate var isMissingFile: Bool { [.fileNoSuchFile, .fileReadNoSuchFile].contains(code) }
}
