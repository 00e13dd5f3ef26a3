import Foundation
import TestSupport

/// The library of `Tests/Faults`, which stands between a process and the C library.
enum FaultLibrary {
  /// Where it was built; nil where there is no C compiler.
  static let path: String? = {
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Faults/faults.c").path
    let library = NSTemporaryDirectory() + "/libfaults-\(UUID().uuidString).so"
    for compiler in ["clang", "cc"] {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-lpthread"]
      guard (try? process.run()) != nil else { continue }
      process.waitUntilExit()
      if process.terminationStatus == 0 { return library }
    }
    return nil
  }()

  enum Kind: String, CaseIterable {
    case inputOutput = "EIO"
    /// From then on there is no room.
    case noSpace = "ENOSPC"
    /// A write takes half of what it was given.
    case shortWrite = "SHORT"
    case failedSync = "SYNC"
    case failedRename = "RENAME"
    /// A read fails, though what it would read is whole.
    case failedRead = "READ"
    /// Kill −9 before the call.
    case kill = "KILL"
  }

  /// Runs the command with its files recorded.
  static func record(_ arguments: [String], in folder: String, log: String) throws -> Command {
    try run(arguments, in: folder, ["FAULTS_LOG=\(log)"])
  }

  /// Runs the command with one of its calls failing.
  static func run(_ arguments: [String], in folder: String, kind: Kind, call: Int) throws -> Command {
    try run(arguments, in: folder, ["FAULTS_KIND=\(kind.rawValue)", "FAULTS_CALL=\(call)"])
  }

  private static func run(_ arguments: [String], in folder: String, _ environment: [String]) throws -> Command {
    let library = ["FAULTS_ROOT=\(folder)", "LD_PRELOAD=\(path ?? "")"]
    return try Command(program: "/usr/bin/env", library + environment + [Command.executable.path] + arguments, in: folder)
  }
}
