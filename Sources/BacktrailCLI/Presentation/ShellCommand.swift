import Backtrail
import Runs
import Foundation

/// A command for a shell, with one option per line if they do not fit on one line.
func shellCommand(_ words: [String], options: [(flag: String, value: String)] = []) -> String {
  let parts = [words.map(shellQuoted).joined(separator: " ")] + options.map { "--\($0.flag) \(shellQuoted($0.value))" }
  let line = parts.joined(separator: " ")
  return line.count <= 60 ? line : parts.joined(separator: " \\\n  ")
}

/// A word quoted so that a POSIX shell takes it literally.
func shellQuoted(_ word: String) -> String {
  let plain = !word.isEmpty && word.unicodeScalars.allSatisfy { scalar in
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "_", "-", "+", "=", ":", ",", ".", "/", "@", "%": true
    default: false
    }
  }
  guard !plain else { return word }
  // The text is processed by scalars, since a quote followed by a combining mark is still a quote to the shell.
  var quoted = ""
  for scalar in word.unicodeScalars { scalar == "'" ? quoted += "'\\''" : quoted.unicodeScalars.append(scalar) }
  return "'\(quoted)'"
}

extension StoredRun {
  /// The commands that make this run again; empty if no command does.
  var commands: [String] {
    // The original file of an initial state may be gone, but the run keeps its own copy.
    let initial = URL(fileURLWithPath: run).standardizedFileURL.appendingPathComponent("initial.safetensors").path
    guard let configuration else { return [] }
    let train = shellCommand(["backtrail", "train"], options: configuration.options(initialState: initial))
    guard configuration.isExtended else { return [train] }
    return [train + " \\\n  --out RUN", shellCommand(["backtrail", "resume", "RUN", "--steps", String(configuration.steps)])]
  }

  /// The command that continues the run.
  var resumeCommand: String { shellCommand(["backtrail", "resume", run]) }
}
