import ArgumentParser
import Backtrail
import Runs
import Foundation
import Reports

/// Where a command draws what it found.
struct ChartOption: ParsableArguments {
  @Option(help: "Draw a chart of it too.", transform: { try outputPath($0, ending: ".svg") })
  var chart: String?

  /// Says before any work is done that the chart can't be written.
  func check() throws {
    if let chart { try checkFolder(of: chart) }
  }

  func write(_ make: () throws -> Chart) throws {
    if let chart { try writeFile(try make().svg(), to: chart) }
  }
}

/// Shows what a command found in each of several ways, whether or not the others fail.
/// - Throws: the first error.
func inTurn(_ ways: () throws -> Void...) throws {
  var failure: (any Error)?
  for way in ways {
    do { try way() } catch { failure = failure ?? error }
  }
  if let failure { throw failure }
}

/// The path of a file to write. Its ending keeps a run's own files from being written over.
func outputPath(_ text: String, ending: String) throws -> String {
  guard text.hasSuffix(ending) else { throw ValidationError("'\(text)' must end in \(ending)") }
  return text
}

/// Says early that a file can't be written, before what goes into it has been worked for.
/// - Throws: `OutputError.cannotWrite` where its folder is not there or not writable.
func checkFolder(of path: String) throws {
  let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
  guard access(folder, W_OK) == 0 else { throw OutputError.cannotWrite(path, reason: String(cString: strerror(errno))) }
}

/// Writes a file that the user asked for.
/// - Throws: `StorageError.cannotCreate` naming it.
func writeFile(_ text: String, to path: String) throws {
  do {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
  } catch let error as CocoaError where error.code == .fileWriteOutOfSpace {
    throw OutputError.diskFull(path)
  } catch {
    throw OutputError.cannotWrite(path, reason: Failure(error)?.words ?? "writing failed")
  }
}

/// What a command was asked to write and couldn't.
enum OutputError: Error, CustomStringConvertible {
  case cannotWrite(String, reason: String)
  case diskFull(String)
  /// Results that standard output did not take.
  case lost(reason: String)
  /// Standard output is a pipe whose reader has gone, as `head` does once it has enough: nobody is there to be told.
  case readerGone
  /// The folder of a run that is being trained.
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
