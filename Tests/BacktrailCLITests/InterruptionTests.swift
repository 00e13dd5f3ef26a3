import Foundation
import TestSupport
import Testing

/// Promise "nothing finished is lost": a run stopped at any instant continues to the bits of one never
/// stopped.
@Suite(.serialized) struct InterruptionTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private let options = """
    --model mlp:64 --steps 1500 --evaluate every:50 --evaluation-examples 100 --order forward --order backward \
    --order tail:50 --order sliding:3 --average exponential:0.99 --average uniform --average polynomial:8 --checkpoint-every 200
    """.split(separator: " ").map(String.init)

  /// - Parameter extra: Options that replace those above.
  private func train(_ name: String, extra: [String] = [], stop: Command.Stop? = nil) throws -> Command {
    let options = extra.isEmpty ? options : Array(options.dropLast(2)) + extra
    return try Command(["train", "--json", "--out", name] + options, in: folder.path, stop: stop)
  }

  private func resume(_ name: String, stop: Command.Stop? = nil) throws -> Command {
    try Command(["resume", name, "--json"], in: folder.path, stop: stop)
  }

  /// Stops a training soon after its first checkpoint. On a busy machine it may end before the signal reaches it;
  /// then it is tried again.
  private func interrupted(_ name: String, extra: [String] = [], by signal: Int32 = SIGINT) throws -> Command {
    while true {
      let stop = Command.Stop.onceFilled(folder: folder("\(name)/checkpoints"), signal: signal)
      let command = try train(name, extra: extra, stop: stop)
      if command.status != 0 { return command }
      try FileManager.default.removeItem(atPath: folder(name))
    }
  }

  /// A few kills; `BACKTRAIL_KILLS=200 make test` performs 200.
  @Test func killedAtRandomInstants() throws {
    let undisturbed = try train("undisturbed")
    let seconds = try #require(undisturbed.json["wallSeconds"] as? Double)
    var kills = 0
    var runs = 0
    while kills < Int(ProcessInfo.processInfo.environment["BACKTRAIL_KILLS"] ?? "") ?? 8 {
      runs += 1
      var command = try train("killed\(runs)", stop: .after(seconds: .random(in: 0...seconds), signal: SIGKILL))
      while command.status != 0 {
        kills += 1
        // Before the run is on disk there is nothing to resume.
        guard command.status == SIGKILL else { break }
        command = try resume("killed\(runs)", stop: .after(seconds: .random(in: 0...2 * seconds), signal: SIGKILL))
      }
      if command.status == 66 { continue }
      #expect(command.status == 0, "\(command.errors)")
      #expect(try command.text("orders") == undisturbed.text("orders"))
      #expect(try command.text("averages") == undisturbed.text("averages"))
    }
  }

  /// The run has finished by then, and measurements beside it can be repeated.
  @Test func aStoppedFrontierGoesOn() throws {
    let sweep = "--sweep checkpoint-every=" + (1...30).map(String.init).joined(separator: ",")
    let small = "--model mlp:8 --steps 200 --evaluate every:20 --evaluation-examples 50 --seeds 2"
    let stopped = try Command(
      "frontier \(small) --order backward --out run --json \(sweep)".split(separator: " ").map(String.init), in: folder.path,
      stop: .onceFilled(folder: folder("run/sweep"), signal: SIGTERM))
    #expect(stopped.status == 75, "\(stopped.errors)")
    #expect(stopped.errors.contains("frontier --run") && stopped.output.isEmpty)
    #expect(!FileManager.default.fileExists(atPath: folder("run/sweep")))
    let again = try Command("frontier --run run --sweep checkpoint-every=50 --json".split(separator: " ").map(String.init), in: folder.path)
    #expect((again.json["settings"] as? [[String: Any]])?.count == 2, "\(again.errors)")
  }

  /// Signals are handled from the start, whatever a command is doing: planning, reading, replaying or printing.
  @Test(arguments: [
    "plan --model linear --steps 2000000 --order sliding:100 --evaluate every:1 --evaluation-examples 1",
    "train --model linear --steps 2000000 --order sliding:100 --evaluate every:1 --evaluation-examples 1 --out planned",
    "runs show run --order forward --iterate 1000000000 --any-cost", "verify run --replays 1000000", "batches run --to 1000000",
    "average run --exact --iterate 1000000000 --any-cost", "rewind run --order forward --from 100000000 --any-cost",
    "export run --order forward --iterate 1000000000 --any-cost --to state.safetensors",
  ])
  func signalsStopEveryCommand(command: String) throws {
    // A run of many updates takes long to verify.
    let steps = command.hasPrefix("verify") ? 60_000 : 60
    let run = "--model mlp:64 --steps \(steps) --order forward --evaluate every:\(steps) --evaluation-examples 20 --checkpoint-every 0"
    // The output of 'batches' waits for a reader that never comes.
    let stopped = try Command.shell(
      """
      case '\(command)' in *' run '*) $B train \(run) --out run >/dev/null 2>&1;; esac
      mkfifo unread; exec 3<>unread
      timeout --foreground --preserve-status -k 30 -s TERM 0.3 $B \(command) >&3; exit $?
      """, in: folder.path)
    #expect(stopped.status == 75, "\(stopped.errors)")
    #expect(stopped.errors.contains("interrupted"))
  }

  @Test func aSecondSignalEndsAtOnce() throws {
    // An update takes so long that the first signal waits for it.
    let stopped = try Command.shell(
      """
      $B train --model mlp:400000 --batch-size 1000 --steps 60 --out slow >/dev/null 2>said & PID=$!
      until grep -q ahead said; do sleep 0.01; kill -0 $PID || exit 9; done
      kill -TERM $PID; sleep 0.4; kill -TERM $PID; wait $PID; exit $?
      """, in: folder.path)
    #expect(stopped.status == 128 + SIGTERM)
  }

  /// Data written into a folder that is gone are lost.
  @Test(arguments: ["mv gone elsewhere && rm -rf elsewhere", "mv gone elsewhere"])
  func aFolderThatVanishesIsNoticed(loss: String) throws {
    let stopped = try Command.shell(
      """
      timeout -s KILL 60 $B train --model mlp:64 --steps 1000000000 --evaluate at:1000000000 --order forward --out gone & PID=$!
      until ls gone/checkpoints/* >/dev/null 2>&1; do sleep 0.01; kill -0 $PID || exit 9; done
      \(loss); wait $PID; exit $?
      """, in: folder.path)
    #expect(stopped.status == 74 && stopped.errors.contains("gone is gone"), "\(stopped.errors)")
    if !loss.hasSuffix("rm -rf elsewhere") {
      let resumed = try Command.shell("timeout --foreground --preserve-status -s TERM 1 $B resume elsewhere", in: folder.path)
      #expect(resumed.status == 75, "\(resumed.errors)")
    }
  }

  @Test(arguments: [SIGINT, SIGTERM])
  func signalsSaveAndResume(signal: Int32) throws {
    let undisturbed = try train("undisturbed")
    let stopped = try interrupted("stopped", by: signal)
    #expect(stopped.status == 75)
    #expect(stopped.errors.contains("backtrail resume"))
    let resumed = try resume("stopped")
    #expect(try resumed.text("orders") == undisturbed.text("orders"))
    #expect(try resumed.text("averages") == undisturbed.text("averages"))
    #expect((resumed.json["averages"] as? [[String: Any]])?.count == 3)
    let total = try #require(undisturbed.json["gradientEvaluations"] as? Int)
    let rest = try #require(resumed.json["gradientEvaluations"] as? Int)
    #expect(rest < total)
    // Everything is there now, so there is nothing to do, and the stored cost does not change.
    let again = try resume("stopped")
    #expect(again.json["gradientEvaluations"] as? Int == rest)
    #expect(again.json["wallSeconds"] as? Double == resumed.json["wallSeconds"] as? Double)
    for key in ["orders", "summary", "averages"] {
      let (now, before) = (try again.text(key), try resumed.text(key))
      #expect(now == before, "\(key)")
    }
  }

  /// If two processes resume a run at once, one waits or is refused, and the work of the other stays.
  @Test func anExtensionIsNotTakenBack() throws {
    let small = "--model linear --evaluation-examples 20 --evaluate every:10 --order forward --order tail:20 --checkpoint-every 25"
    let both = try Command.shell(
      """
      $B train \(small) --steps 100 --out run >/dev/null 2>&1
      for i in 1 2 3 4 5 6; do
        rm -rf copy; cp -r run copy
        $B resume copy --steps 200 --json >extended 2>said & EXTENDING=$!
        $B resume copy --json >/dev/null 2>&1; wait $EXTENDING; CODE=$?
        if [ $CODE = 0 ]; then $B runs show copy | grep -q 'steps .*200' || exit 1; fi
        $B verify copy >/dev/null || exit 2
        $B resume copy --steps 200 --json >/dev/null || exit 3
      done
      """, in: folder.path)
    #expect(both.status == 0, "\(both.status) \(both.errors)")
  }

  /// Lost rows of an extension come back when the run is extended again.
  @Test func checkpointsBeyondTheRunWaitForIt() throws {
    let small = "--model linear --evaluation-examples 20 --evaluate every:50 --order forward --checkpoint-every 25 --lanes 1"
    let lost = try Command.shell(
      """
      $B train \(small) --steps 100 --out run >/dev/null 2>&1; cp -r run before
      $B resume run --steps 200 --json >/dev/null; cp before/run.sqlite run/run.sqlite; rm -f run/run.sqlite-*
      $B resume run && $B verify run && $B resume run --steps 200 --json
      """, in: folder.path)
    #expect(lost.status == 0, "\(lost.errors)")
    let counts = lost.output.split(separator: "\n").filter { $0.contains("\"gradientEvaluations\"") }
    // What is observed anew at 150 and 200 needs the loss of its last update, which is made again from the checkpoint before.
    #expect(counts.last.map { $0.contains(" 50,") } == true, "\(counts)")
  }

  @Test func anExtendedRunIsTheLongerRun() throws {
    let short = ["--model", "mlp:8", "--evaluation-examples", "20", "--evaluate", "every:10", "--order", "forward", "--order", "tail:5"]
    let long = try Command(["train", "--json", "--out", "long", "--steps", "60"] + short, in: folder.path)
    _ = try Command(
      ["train", "--json", "--out", "run", "--steps", "40", "--checkpoint-every", "7"] + short, in: folder.path)
    let extended = try Command(["resume", "run", "--steps", "60", "--json"], in: folder.path)
    #expect(try extended.text("orders") == long.text("orders"))
    #expect(try extended.text("averages") == long.text("averages"))
    // Forward continues at its end, 40; the head of tail at its end, after 35 of its batches, with two teeth of 5
    // updates.
    #expect(extended.json["gradientEvaluations"] as? Int == 20 + 20 + 2 * 5)
    #expect(try Command(["resume", "run", "--steps", "50"], in: folder.path).status == 64)
  }

  @Test func differencesAreSmallerAndGiveTheSameBits() throws {
    let alone = try train("alone")
    #expect(try train("chained", extra: ["--checkpoint-chain", "3", "--checkpoint-every", "50"]).status == 0)
    let many = try train("many", extra: ["--checkpoint-every", "50"])
    let chained = try Command(["runs", "show", "chained", "--json"], in: folder.path)
    let result = try #require(chained.json["result"] as? [String: Any])
    let bytes = try #require(result["checkpointBytes"] as? Int)
    #expect(Double(bytes) < 0.92 * Double(try #require(many.json["checkpointBytes"] as? Int)))

    let stopped = try interrupted("stopped", extra: ["--checkpoint-chain", "3", "--checkpoint-every", "50"])
    #expect(stopped.status == 75)
    #expect(try resume("stopped").text("orders") == alone.text("orders"))
    let verified = try Command(["verify", "stopped", "--json"], in: folder.path)
    #expect(verified.status == 0)
    #expect(verified.json["checkpoints"] as? Int ?? 0 > 10)

    // A damaged base takes the differences to it along, until it is repaired.
    let base = try #require(
      FileManager.default.contentsOfDirectory(atPath: folder("stopped/checkpoints")).first { $0.hasSuffix("-50.ckpt") })
    var data = try folder.read("stopped/checkpoints/\(base)")
    data[data.count / 2] ^= 1
    try folder.write(data, to: "stopped/checkpoints/\(base)")
    let damaged = try Command(["verify", "stopped"], in: folder.path)
    #expect(damaged.status == 65)
    #expect(damaged.errors.contains(base))
    #expect(try Command(["verify", "stopped", "--repair"], in: folder.path).status == 0)
    #expect(try Command(["verify", "stopped"], in: folder.path).status == 0)
  }

  @Test func aBudgetThinsCheckpointsOut() throws {
    let state = 4 * (64 * 64 + 64 + 64 * 10 + 16)
    let budget = 24 * state
    let command = try Command(
      ["train", "--json", "--out", "run", "--checkpoint-every", "20", "--disk-budget", "\(budget)", "--lanes", "2"]
        + options.dropLast(2), in: folder.path)
    #expect(command.status == 0, "\(command.errors)")
    let bytes = try #require(command.json["checkpointBytes"] as? Int)
    #expect(bytes <= budget && bytes > budget / 2)
    let tooLittle = try Command(["train", "--out", "b", "--disk-budget", "10KiB"] + options, in: folder.path)
    #expect(tooLittle.status == 78)
    #expect(tooLittle.errors.contains("--disk-budget"))
  }

  /// The checkpoints that a longer run starts from stay until it has started, whatever happens meanwhile.
  @Test func aBudgetKeepsWhatIsStillNeeded() throws {
    let options = ["--average", "none", "--seeds", "6", "--steps", "200", "--evaluate", "every:100"]
    let train = ["train", "--out", "run", "--checkpoint-every", "50", "--disk-budget", "210KiB", "--lanes", "1"] + options
    #expect(try Command(train + ["--order", "forward"], in: folder.path).status == 0)
    let resumed = try Command(["resume", "run", "--steps", "400", "--json"], in: folder.path)
    #expect(resumed.status == 0, "\(resumed.errors)")
    // 1,200 updates are left if no seed starts anew.
    #expect(resumed.json["gradientEvaluations"] as? Int == 1200)
  }

  /// The process may write only so much, as if the disk were full.
  @Test(arguments: [1, 40, 120, 300, 700])
  func aFullDiskLosesNothing(kilobytes: Int) throws {
    let undisturbed = try train("undisturbed")
    let line = (["exec", Command.executable.path, "train", "--json", "--out", "run"] + options).joined(separator: " ")
    let stopped = try Command(program: "/bin/bash", ["-c", "ulimit -f \(kilobytes); \(line)"], in: folder.path)
    #expect(stopped.status == 74 || stopped.status == 0, "\(stopped.errors)")
    guard stopped.status == 74 else { return }
    #expect(stopped.errors.contains("run"))
    let resumed = try resume("run")
    // There is so little room that not even the run itself was written.
    if resumed.status == 66 || resumed.status == 65 { return }
    #expect(try resumed.text("orders") == undisturbed.text("orders"))
  }

  @Test func oneProcessAtATime() throws {
    #expect(try interrupted("run").status == 75)
    let lock = open(folder("run/lock"), O_RDWR)
    #expect(lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
    let refused = try resume("run")
    #expect(refused.status == 73)
    #expect(refused.errors.contains("another process"))
    close(lock)
    #expect(try resume("run").status == 0)
  }

  @Test func aDamagedCheckpointIsNamedAndDoneWithout() throws {
    let undisturbed = try train("undisturbed")
    #expect(try interrupted("run").status == 75)
    for file in try FileManager.default.contentsOfDirectory(atPath: folder("run/checkpoints")) {
      var bytes = try folder.read("run/checkpoints/\(file)")
      bytes[bytes.count / 2] ^= 4
      try folder.write(bytes, to: "run/checkpoints/\(file)")
    }
    let resumed = try resume("run")
    #expect(resumed.errors.contains(".ckpt"))
    #expect(try resumed.text("orders") == undisturbed.text("orders"))
    #expect(try resumed.text("averages") == undisturbed.text("averages"))
  }
}
