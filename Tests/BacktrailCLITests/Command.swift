import Foundation
import Testing

/// Runs the built `backtrail` as a user does.
struct Command {
  let status: Int32
  let output: String
  let errors: String

  /// The executable is beside the test bundle.
  static let executable = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    .deletingLastPathComponent().appendingPathComponent("backtrail")

  /// A signal for a running process, and when it is sent.
  enum Stop {
    case after(seconds: Double, signal: Int32)
    /// Sent once the folder contains something, which shows that the process is under way.
    case onceFilled(folder: String, signal: Int32)
  }

  /// - Parameters:
  ///   - environment: Variables besides those of this process.
  ///   - watch: Called repeatedly with the number of the running process; nil to wait for its end.
  init(
    program: String = Self.executable.path, _ arguments: [String], in folder: String, stop: Stop? = nil,
    environment: [String: String] = [:], watch: ((Int32) -> Void)? = nil
  ) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    // Files are used instead of pipes, because a full pipe would stop the process.
    let files = ["out", "err"].map { folder + "/\(UUID().uuidString).\($0)" }
    for file in files { try "".write(toFile: file, atomically: false, encoding: .utf8) }
    process.standardOutput = FileHandle(forWritingAtPath: files[0])
    process.standardError = FileHandle(forWritingAtPath: files[1])
    try process.run()
    switch stop {
    case .after(let seconds, let signal):
      Thread.sleep(forTimeInterval: seconds)
      if process.isRunning { kill(process.processIdentifier, signal) }
    case .onceFilled(let path, let signal):
      while process.isRunning, (try? FileManager.default.contentsOfDirectory(atPath: path))?.isEmpty ?? true {
        Thread.sleep(forTimeInterval: 0.002)
      }
      if process.isRunning { kill(process.processIdentifier, signal) }
    case nil:
      break
    }
    while let watch, process.isRunning {
      watch(process.processIdentifier)
      usleep(1000)
    }
    process.waitUntilExit()
    status = process.terminationStatus
    output = try String(contentsOfFile: files[0], encoding: .utf8)
    errors = try String(contentsOfFile: files[1], encoding: .utf8)
    for file in files { try FileManager.default.removeItem(atPath: file) }
  }

  /// Runs a shell script with `$B` the executable.
  static func shell(_ script: String, in folder: String) throws -> Command {
    try Command(program: "/bin/bash", ["-c", "B='\(executable.path)'; \(script)"], in: folder)
  }

  /// The value of a key of the JSON document as text with sorted keys, so that equal values have equal texts.
  func text(_ key: String) throws -> String {
    let value = try #require(json[key])
    return String(decoding: try JSONSerialization.data(withJSONObject: value, options: .sortedKeys), as: UTF8.self)
  }

  var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(output.utf8))) as? [String: Any] ?? [:] }
}
