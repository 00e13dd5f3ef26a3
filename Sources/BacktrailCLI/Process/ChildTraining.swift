import Backtrail
import Runs
import Foundation

/// Trains a run as `backtrail train` does, but in a process of its own, so that the peak memory is that of the run
/// alone.
/// - Throws: `RunError.impossible` if the run is refused; other errors have the messages of the child process.
@Sendable func trainInAnotherProcess(_ settings: RunSettings, at path: String) async throws -> RunResult {
  let (options, output, errors) = (path + ".yaml", path + ".json", path + ".log")
  defer { for file in [options, output, errors] { try? FileManager.default.removeItem(atPath: file) } }
  // JSON is YAML.
  try writeFile(try jsonText(settings), to: options)
  for file in [output, errors] { try writeFile("", to: file) }
  let process = Process()
  process.executableURL = Bundle.main.executableURL
  process.arguments = ["train", "--config", options, "--out", path, "--json"]
  process.standardOutput = FileHandle(forWritingAtPath: output)
  process.standardError = FileHandle(forWritingAtPath: errors)
  try Task.checkCancellation()
  try process.run()
  let child = process.processIdentifier
  await withTaskCancellationHandler {
    process.waitUntilExit()
  } onCancel: {
    kill(child, SIGTERM)
  }
  try Task.checkCancellation()
  if process.terminationStatus != 0 {
    let text = ((try? String(contentsOfFile: errors, encoding: .utf8)) ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
    let words = text.hasPrefix("backtrail: ") ? String(text.dropFirst("backtrail: ".count)) : text
    throw switch ExitStatus(rawValue: process.terminationStatus) {
    case .usage: RunError.usage(words)
    default: RunError.impossible(words.isEmpty ? "training ended with code \(process.terminationStatus)" : words)
    }
  }
  return try RunResult(reading: Data(contentsOf: URL(fileURLWithPath: output)), metrics: StoredRun(path).problem.metrics)
}
