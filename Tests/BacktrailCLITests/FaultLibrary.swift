import Foundation
import TestSupport

/// The library of `Tests/Faults`, which intercepts the calls of a process to the C library.
enum FaultLibrary {
  /// The path of the built library; nil if there is no C compiler.
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
    /// From this call on there is no space on the disk.
    case noSpace = "ENOSPC"
    /// A write accepts only half of its bytes.
    case shortWrite = "SHORT"
    case failedSync = "SYNC"
    case failedRename = "RENAME"
    /// A read fails, although the data are intact.
    case failedRead = "READ"
    /// The process is killed with −9 before the call.
    case kill = "KILL"
  }

  /// Runs the command and records its operations on files.
  static func record(_ arguments: [String], in folder: String, log: String) throws -> Command {
    try run(arguments, in: folder, ["FAULTS_LOG=\(log)"])
  }

  /// Runs a program and records what it does to the files below `root`, or lets a call fail there.
  static func run(
    _ program: URL, _ arguments: [String], in folder: String, root: String, log: String? = nil, failing: (kind: Kind, call: Int)? = nil
  ) throws -> Command {
    let failure = failing.map { ["FAULTS_KIND=\($0.kind.rawValue)", "FAULTS_CALL=\($0.call)"] } ?? []
    return try run(program, arguments, in: folder, root: root, failure + (log.map { ["FAULTS_LOG=\($0)"] } ?? []))
  }

  /// Runs the command with one of its calls failing.
  static func run(_ arguments: [String], in folder: String, kind: Kind, call: Int) throws -> Command {
    try run(arguments, in: folder, ["FAULTS_KIND=\(kind.rawValue)", "FAULTS_CALL=\(call)"])
  }

  private static func run(_ arguments: [String], in folder: String, _ environment: [String]) throws -> Command {
    try run(Command.executable, arguments, in: folder, root: folder, environment)
  }

  private static func run(
    _ program: URL, _ arguments: [String], in folder: String, root: String, _ environment: [String]
  ) throws -> Command {
    let library = ["FAULTS_ROOT=\(root)", "LD_PRELOAD=\(path ?? "")"]
    return try Command(program: "/usr/bin/env", library + environment + [program.path] + arguments, in: folder)
  }
}
