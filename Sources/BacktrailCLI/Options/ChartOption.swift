import ArgumentParser
import Backtrail
import Runs
import Foundation
import Reports

/// The option to draw the results of a command as a chart.
struct ChartOption: ParsableArguments {
  @Option(help: "Draw a chart of it too.", transform: { try outputPath($0, ending: ".svg") })
  var chart: String?

  /// Checks before any work is done that the chart can be written.
  func check() throws {
    if let chart { try checkFolder(of: chart) }
  }

  func write(_ make: () throws -> Chart) throws {
    if let chart { try writeFile(try make().svg(), to: chart) }
  }
}

/// Presents the results of a command in several ways, each of them even if others fail.
/// - Throws: The first error.
func inTurn(_ ways: () throws -> Void...) throws {
  var failure: (any Error)?
  for way in ways {
    do { try way() } catch { failure = failure ?? error }
  }
  if let failure { throw failure }
}

/// Checks the path of a file to write. The required ending protects a run's own files from being overwritten.
func outputPath(_ text: String, ending: String) throws -> String {
  guard text.hasSuffix(ending) else { throw ValidationError("'\(text)' must end in \(ending)") }
  return text
}

/// Checks that a file can be written before its content is computed.
/// - Throws: `OutputError.cannotWrite` if its folder does not exist or is not writable.
func checkFolder(of path: String) throws {
  let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
  guard access(folder, W_OK) == 0 else { throw OutputError.cannotWrite(path, reason: String(cString: strerror(errno))) }
}

/// Writes a file that the user asked for.
/// - Throws: `OutputError`, naming the file.
func writeFile(_ text: String, to path: String) throws {
  do {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
  } catch let error as CocoaError where error.code == .fileWriteOutOfSpace {
    throw OutputError.diskFull(path)
  } catch {
    throw OutputError.cannotWrite(path, reason: Failure(error)?.words ?? "writing failed")
  }
}

/// An error in writing something that a command was asked to write.
enum OutputError: Error, CustomStringConvertible {
  case cannotWrite(String, reason: String)
  case diskFull(String)
  /// Results could not be written to standard output.
  case lost(reason: String)
  /// Standard output is a pipe whose reader has gone, as `head` does once it has enough, so there is nobody to
  /// inform.
  case readerGone
  /// The folder of a run that is being trained is gone.
  case folderGone(String)

  var description: String {
    switch self {
    case .cannotWrite(let path, let reason):
      "can't write \(path): \(reason); name a file in a folder that exists and may be written to"
    case .diskFull(let path):
      "can't write \(path): the disk is full; make room, or name a file elsewhere"
    case .lost(let reason):
      "can't write to standard output: \(reason); what this command changed in its run is kept, its results are not shown"
    case .readerGone:
      "can't write to standard output: its reader has gone"
    case .folderGone(let path):
      "\(path) is gone: it was moved or removed while its run was trained. Where it was moved, 'backtrail resume' goes on there"
    }
  }
}
