import Foundation
import TestSupport
import Testing

/// The reaction of the command to files and numbers from strangers.
@Suite struct HostileInputTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Runs in 1.5 GB of address space, so that excessive memory use fails here and not only on smaller machines.
  /// Sanitizers need far more address space.
  private func backtrail(_ line: String) throws -> Command {
    let isSanitized = ProcessInfo.processInfo.environment["BACKTRAIL_SANITIZED"] != nil
    let words = ["-c", "\(isSanitized ? "" : "ulimit -v 1500000; ")exec \"$0\" \"$@\"", Command.executable.path]
    return try Command(program: "/bin/sh", words + line.split(separator: " ").map(String.init), in: folder.path)
  }

  /// The output of `plan` for a configuration file.
  private func plan(_ yaml: String) throws -> Command {
    try folder.write(yaml, to: "run.yaml")
    return try backtrail("plan --model linear --order forward --evaluation-examples 2 --config run.yaml --json")
  }

  @Test(arguments: [
    ("steps: 9223372036854775807:00", "line 1: 'steps'"), ("steps: 010", "without zeros"), ("steps: 190:20", "plain digits"),
    ("steps: 0x10", "plain digits"), ("steps: 1_000", "plain digits"), ("\nsteps: [1, 2]", "line 2"), ("steps: 1e3", "whole"),
    ("learning-rate: .inf", "a number"), ("learning-rate: 0x1p3", "a number"), ("learning-rate: 010", "a number"),
    ("a: &a 1\nb: *a", "anchor or alias"), ("steps: &b 3", "anchor or alias"), ("\"#\": &a {}", "anchor or alias"),
    ("order: [[a]]", "keys and lists inside"), ("? [a]\n: b", "no option"), ("steps: 1\nsteps: 2", "is not YAML"),
    ("- a", "keys and values"), ("steps: 1\n---\nsteps: 2", "is not YAML"), ("\u{1}", "is not YAML"),
    ("model: [a, b]", "a single text"),
  ])
  func settingsAreReadAsTheyStand(_ yaml: String, word: String) throws {
    let command = try plan(yaml)
    #expect(command.status == 64 && command.errors.contains(word), "\(command.errors)")
  }

  /// Without a check, each level of nested aliases takes eight times as long as the one before.
  @Test(.timeLimit(.minutes(1))) func nestingEndsAtOnce() throws {
    let aliases = (1...12).reduce("- &a0 {x: y}\n") { $0 + "- &a\($1) {*a\($1 - 1) : *a\($1 - 1)}\n" }
    for yaml in [aliases, String(repeating: "? ", count: 900) + "a", String(repeating: "[", count: 60_000)] {
      #expect(try plan(yaml).status == 64)
    }
    #expect(try plan(String(repeating: "# 1\n", count: 20_000)).status == 78)
  }

  @Test func plainSettingsAreUnderstood() throws {
    let expected = try plan("steps: 20\nlearning-rate: 0.1\nseeds: 2\nevaluate: at:20")
    #expect(expected.status == 0)
    let writings = [
      "# all *of* it & more\nsteps: 20 # &so\nlearning-rate: 1e-1\nseeds: 2\nevaluate: \"at:20\"\n",
      "{\"steps\": 20, \"learning-rate\": 0.1, \"seeds\": 2, \"evaluate\": \"at:20\"}",
      "---\r\nsteps: 20\r\nlearning-rate: .1\r\nseeds: 2\r\nevaluate: 'at:20'\r\nbatch-size: ~\r\nsampler:\r\n...\r\n",
    ]
    for yaml in writings {
      let command = try plan(yaml)
      #expect(command.status == 0, "\(command.errors)")
      for key in ["predictedGradientEvaluations", "stateBytes"] { #expect(command.json[key] as? Int == expected.json[key] as? Int) }
    }
    try folder.write("order: backward\nsteps: 4\nweight-decay: 0.01\nmodel: linear\nevaluation-examples: 2", to: "one.yaml")
    #expect(try backtrail("plan --config one.yaml").status == 0)
  }

  @Test(.timeLimit(.minutes(1))) func onlyRegularFilesAreOpened() throws {
    #expect(mkfifo(folder("pipe"), 0o600) == 0)
    for option in ["--config pipe", "--order file:pipe", "--sampler file:pipe", "--initial pipe", "--data csv:pipe"] {
      let command = try backtrail("train --model linear --steps 2 \(option) --out run")
      #expect(command.status == 66 && command.errors.contains("not a regular file"), "\(option): \(command.errors)")
    }
  }

  /// A file of 4 TiB that takes no space on the disk, and a compressed file of such zeros.
  @Test(.timeLimit(.minutes(1))) func hugeFilesAreRefused() throws {
    #expect(truncate(try folder.write("", to: "sparse"), 1 << 42) == 0)
    let zeros = try Command(
      program: "/bin/sh", ["-c", "head -c 300000000 /dev/zero | tr '\\0' '\\n' | gzip -1 > bomb"], in: folder.path)
    #expect(zeros.status == 0)
    for (option, status) in [
      ("--config sparse", 78), ("--order file:sparse", 78), ("--sampler file:sparse", 65), ("--initial sparse", 65),
      ("--data csv:sparse", 65), ("--data text:sparse --model gpt", 78), ("--config bomb", 78), ("--sampler file:bomb", 78),
      ("--data text:bomb --model gpt", 78), ("--data csv:/dev/zero", 66),
    ] as [(String, Int32)] {
      let command = try backtrail("train --steps 2 --order forward \(option) --out run")
      #expect(command.status == status, "\(option): \(command.errors)")
      #expect(!command.errors.contains("Fatal"), "\(option): \(command.errors)")
    }
  }

  @Test(arguments: [
    "--data synthetic:examples=100000000", "--data synthetic:features=1000000", "--model mlp:1000000,1000000",
    "--model mlp:1000000,1000000,1000000 --optimizer adam",
  ])
  func whatDoesNotFitTheMemoryIsRefusedBeforeItIsTaken(_ options: String) throws {
    for command in ["train --out run", "plan"] {
      let command = try backtrail("\(command) --steps 2 --order forward \(options)")
      #expect(command.status == 78, "\(options): \(command.errors)")
      #expect(command.errors.contains("bytes") || command.errors.contains("MiB"), "\(command.errors)")
    }
    #expect(!FileManager.default.fileExists(atPath: folder("run")))
  }
}
