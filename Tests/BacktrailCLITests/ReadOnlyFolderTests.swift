import Foundation
import TestSupport
import Testing

/// Runs on a disk that is not writable, and folders left by a process that was making them.
@Suite struct ReadOnlyFolderTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Runs a command as a user who may read everything in the folder but write nothing.
  private func readOnly(_ line: String) throws -> Command {
    let isRoot = geteuid() == 0
    let user = isRoot ? "setpriv --reuid=65534 --regid=65534 --clear-groups" : ""
    return try Command(program: "/bin/bash", ["-c", "HOME=/tmp TMPDIR=/tmp exec \(user) '\(Command.executable.path)' \(line)"], in: folder.path)
  }

  private func changeModes(_ mode: String) throws {
    #expect(try Command(program: "/bin/chmod", ["-R", mode, folder("run")], in: folder.path).status == 0)
  }

  /// - Parameter isKilled: Whether the database's log still contains the last commits.
  @Test(arguments: [false, true])
  func everythingThatReadsReads(isKilled: Bool) throws {
    let options = "train --model linear --steps 40 --evaluate every:10 --evaluation-examples 20 --order forward --order backward --checkpoint-every 10 --out"
    #expect(try Command((options + " run").split(separator: " ").map(String.init), in: folder.path).status == 0)
    if isKilled {
      // A kill leaves a log without its database's process.
      let line = "from sqlite3 import connect; import os; c = connect('run/run.sqlite'); c.execute('pragma wal_autocheckpoint=0'); c.execute(\"update run set status = status\"); c.commit(); os._exit(0)"
      guard try Command(program: "/usr/bin/env", ["python3", "-c", line], in: folder.path).status == 0 else { return }
      try? FileManager.default.removeItem(atPath: folder("run/run.sqlite-shm"))
    }
    try changeModes("a+rX,a-w")
    defer { try? changeModes("u+w") }
    for (line, status) in [
      ("runs show run", 0), ("runs list .", 0), ("verify run", 0), ("batches run", 0), ("runs show run --order backward --iterate 17", 0),
      ("rewind run --order backward --from 20 --slots 3", 0), ("average run --exact", 0), ("report run --to /proc/nothing.html", 73), ("resume run", 74),
      ("verify run --repair", 74),
    ] as [(String, Int32)] {
      let command = try readOnly(line)
      #expect(command.status == status, "\(line): \(command.status) \(command.errors)")
    }
    try changeModes("u+w")
    #expect(try Command(["resume", "run", "--steps", "50"], in: folder.path).status == 0)
    #expect(try Command(["verify", "run"], in: folder.path).status == 0)
  }

  /// A user's own files in a folder stay, whatever their names are.
  @Test func foldersWithFilesOfTheirOwnAreNoBeginnings() throws {
    try FileManager.default.createDirectory(atPath: folder("own/orders"), withIntermediateDirectories: true)
    try folder.write("1\n2-1\n", to: "own/orders/my.txt")
    try FileManager.default.createDirectory(atPath: folder("also"), withIntermediateDirectories: true)
    for name in ["lock", "initial.safetensors.gz"] { try folder.write("mine", to: "also/\(name)") }
    let options = "--model linear --steps 2 --evaluate every:1 --evaluation-examples 20"
    for line in ["train \(options) --order file:own/orders/my.txt --out own", "train \(options) --out also"] {
      #expect(try Command(line.split(separator: " ").map(String.init), in: folder.path).status == 73)
    }
    #expect(try folder.read("own/orders/my.txt").count == 6)
    #expect(try folder.read("also/initial.safetensors.gz") == Array("mine".utf8))
  }

  /// A kill while a run is made leaves a folder that is not a run yet; the same command completes it.
  @Test(arguments: [[], ["lock"], ["lock", "batches.zst"], ["lock", "batches.zst", "run.sqlite.partial", "initial.safetensors"]] as [[String]])
  func aFolderThatNeverBecameARun(files: [String]) throws {
    let train = "train --model linear --steps 10 --evaluation-examples 20 --out run".split(separator: " ").map(String.init)
    try FileManager.default.createDirectory(atPath: folder("run"), withIntermediateDirectories: true)
    for file in files { try folder.write("begun", to: "run/\(file)") }
    let resumed = try Command(["resume", "run"], in: folder.path)
    #expect(resumed.status == 66)
    if !files.isEmpty { #expect(resumed.errors.contains("train with --out run again"), "\(resumed.errors)") }
    #expect(try Command(train, in: folder.path).status == 0)
    #expect(try Command(["verify", "run"], in: folder.path).status == 0)
    #expect(try Command(train, in: folder.path).status == 73)
  }
}
