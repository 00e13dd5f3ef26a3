import Backtrail
import Runs
import Foundation

/// A command as a shell reads it, an option a line where they don't fit on one.
func shellCommand(_ words: [String], options: [(flag: String, value: String)] = []) -> String {
  let parts = [words.map(shellQuoted).joined(separator: " ")] + options.map { "--\($0.flag) \(shellQuoted($0.value))" }
  let line = parts.joined(separator: " ")
  return line.count <= 60 ? line : parts.joined(separator: " \\\n  ")
}

/// A word as a POSIX shell takes it for itself.
func shellQuoted(_ word: String) -> String {
  let plain = !word.isEmpty && word.unicodeScalars.allSatisfy { scalar in
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "_", "-", "+", "=", ":", ",", ".", "/", "@", "%": true
    default: false
    }
  }
  guard !plain else { return word }
  // By scalars: a quote that a combining mark follows is a quote to the shell.
  var quoted = ""
  for scalar in word.unicodeScalars { scalar == "'" ? quoted += "'\\''" : quoted.unicodeScalars.append(scalar) }
  return "'\(quoted)'"
}

extension StoredRun {
  /// What makes this run again, a command after the other; none where no command does.
  var commands: [String] {
    // Paths of initial states may lead nowhere by now; the run keeps its own copy.
    let initial = URL(fileURLWithPath: run).standardizedFileURL.appendingPathComponent("initial.safetensors").path
    guard let configuration else { return [] }
    let train = shellCommand(["backtrail", "train"], options: configuration.options(initialState: initial))
    guard configuration.isExtended else { return [train] }
    return [train + " \\\n  --out RUN", shellCommand(["backtrail", "resume", "RUN", "--steps", String(configuration.steps)])]
  }

  /// What goes on with it.
  var resumeCommand: String { shellCommand(["backtrail", "resume", run]) }
}
