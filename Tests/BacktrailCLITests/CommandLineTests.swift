import Foundation
import TestSupport
import Testing

@Suite struct CommandLineTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func backtrail(_ line: String) throws -> Command {
    try Command(line.split(separator: " ").map(String.init), in: folder.path)
  }

  private let small = "--model mlp:8 --steps 20 --evaluation-examples 20"

  @Test func trainPrintsTheDocumentedJSON() throws {
    let command = try backtrail("train \(small) --order forward --order tail:5 --evaluate at:10,20 --out run --json")
    #expect(command.status == 0)
    #expect(command.errors.isEmpty)
    let keys = [
      "run", "orders", "gradientEvaluations", "predictedGradientEvaluations", "wallSeconds", "peakResidentBytes",
      "predictedPeakBytes", "checkpointBytes", "stateBytes", "lanes", "fingerprint",
    ]
    for key in keys { #expect(command.json[key] != nil, "\(key)") }
    let orders = try #require(command.json["orders"] as? [[String: Any]])
    #expect(orders.map { $0["order"] as? String } == ["forward", "tail:5"])
    #expect(orders.map { $0["gradientEvaluations"] as? Int } == [20, 25])
    let iterates = try #require(orders[1]["iterates"] as? [[String: Any]])
    #expect(iterates.map { $0["n"] as? Int } == [10, 20])
    for key in ["testLoss", "testAccuracy", "digest"] { #expect(iterates[0][key] != nil) }

    let peak = try #require(command.json["peakResidentBytes"] as? Int)
    let predicted = try #require(command.json["predictedPeakBytes"] as? Int)
    #expect(abs(Double(peak - predicted)) < 0.1 * Double(peak))

    let plan = try backtrail("plan \(small) --order forward --order tail:5 --evaluate at:10,20 --json").json
    #expect(plan["predictedGradientEvaluations"] as? Int == command.json["gradientEvaluations"] as? Int)
    #expect(plan["stateBytes"] as? Int == command.json["stateBytes"] as? Int)
    #expect(plan["fingerprint"] as? String == command.json["fingerprint"] as? String)
    let shown = try backtrail("runs show run --json").json
    #expect(shown["status"] as? String == "finished")
  }

  @Test func planShowsWhatElseWouldCost() throws {
    let line = "plan \(small) --order forward --order tail:5 --evaluate every:5 --lanes 2"
    let plan = try backtrail(line + " --json").json
    let neighbours = try #require(plan["neighbours"] as? [[String: Any]])
    func cost(_ change: String, _ key: String) throws -> Double {
      let found = try #require(neighbours.first { $0["change"] as? String == change }, "\(change)")
      return try #require((found["cost"] as? [String: Any])?[key] as? Double)
    }
    #expect(try cost("--order forward alone", "gradientEvaluations") == 20)
    // A lane has its own state and workspace.
    #expect(try cost("--lanes 1", "peakBytes") < (try #require(plan["predictedPeakBytes"] as? Double)))
    #expect(try cost("--evaluate every:2", "diskBytes") > (try #require(plan["predictedDiskBytes"] as? Double)))
    let table = try backtrail(line)
    for words in ["instead", "--order tail:10 for tail:5", "--checkpoint-every 0", "measured here", "to encode"] {
      #expect(table.output.contains(words), "\(words)")
    }
  }

  @Test func frontierComparesAndDraws() throws {
    let options = "--model mlp:8 --steps 60 --evaluation-examples 40 --batch-size 16 --evaluate every:5 --seeds 3"
    let command = try backtrail(
      "frontier \(options) --order backward --order tail:5 --order splice:5 --baseline cosine --baseline batch:4 "
        + "--sweep checkpoint-every=0,20 --out run --csv points.csv --chart front.svg --curves curves.svg --json")
    #expect(command.status == 0, "\(command.errors)")
    let points = try #require(command.json["points"] as? [[String: Any]])
    #expect(Set(points.compactMap { $0["series"] as? String }).isSuperset(of: ["forward", "backward", "tail:5", "splice:5"]))
    let comparison = try #require(command.json["comparison"] as? [[String: Any]])
    #expect(comparison.compactMap { $0["series"] as? String }.suffix(2) == ["forward, cosine", "forward, batch × 4, η × 4"])
    #expect((command.json["settings"] as? [[String: Any]])?.count == 3)
    let csv = try String(contentsOfFile: folder("points.csv"), encoding: .utf8).split(separator: "\n")
    #expect(csv.count == points.count + 1)
    #expect(csv.allSatisfy { $0.split(separator: ",", omittingEmptySubsequences: false).count == 19 })
    for chart in ["front.svg", "curves.svg"] {
      #expect(try String(contentsOfFile: folder(chart), encoding: .utf8).hasPrefix("<svg"))
    }
    let again = try backtrail("frontier --run run --no-distance --all-points")
    #expect(again.status == 0)
    for words in ["loss error", "splice:5", "Skill", "exact"] { #expect(again.output.contains(words), "\(words)") }
  }

  @Test(arguments: [
    ("--csv points.txt", 64), ("--chart a.svg --curves a.svg", 64), ("--compare-from 59 --steps 60", 64),
    ("--evaluate auto:0.01", 64), ("--steps 2", 64),
    ("--sweep depth=3", 64), ("--baseline sgd", 64), ("--chart a.png", 64), ("--run nowhere", 66), ("--run nowhere --sweep all", 66), ("--run nowhere --order tail:5", 64),
    ("--model mlp:8 --steps 20 --chart nowhere/a.svg", 73), ("--cost-budget 1000", 64), ("--sweep lanes=x", 64),
    ("--steps 20 --baseline batch:30", 78), ("--schedule cosine --baseline cosine", 78), ("--allow-numerics-change", 64),
  ]) func frontierRefuses(options: String, status: Int32) throws {
    let command = try backtrail("frontier \(options)")
    #expect(command.status == status, "\(command.errors)")
    #expect(!command.errors.isEmpty)
    #expect(!FileManager.default.fileExists(atPath: folder("runs")), "refused before anything is trained")
  }

  @Test func baselinesThatNobodyAskedForAreLeftOutWhereTheyCannotBe() throws {
    let command = try backtrail("frontier --model mlp:8 --steps 6 --schedule cosine --no-distance --out run --json")
    #expect(command.status == 0, "\(command.errors)")
    let comparison = try #require(command.json["comparison"] as? [[String: Any]])
    #expect(!comparison.contains { ($0["series"] as? String)?.hasPrefix("forward, ") == true })
  }

  @Test func theTableComparesOrders() throws {
    let command = try backtrail("train \(small) --order forward --order backward --evaluate every:2 --out run")
    #expect(command.status == 0)
    for words in ["forward average exponential:0.99", "forward average polynomial:8", "backward", "neighbour noise", "gradient evaluations", "110"] {
      #expect(command.output.contains(words), "\(words)")
    }
    #expect(command.errors.contains("20 steps"))
    #expect(try backtrail("runs list .").output.contains("finished"))
  }

  @Test func exportAndBatchesFeedANewRun() throws {
    let trained = try backtrail("train \(small) --order backward --out a --json")
    let export = try backtrail("export a --order backward --iterate 20 --to a.safetensors --json")
    let digest = try #require(export.json["digest"] as? String)
    #expect(try trained.text("orders").contains(digest))
    #expect(export.json["observed"] as? Bool == true)
    let batches = try backtrail("batches a")
    #expect(batches.output.split(separator: "\n").count == 20)
    #expect(batches.output.split(separator: "\n").allSatisfy { $0.split(separator: " ").count == 32 })
    try batches.output.write(toFile: folder("batches"), atomically: false, encoding: .utf8)
    #expect(try backtrail("batches a --from 3 --to 3").output == batches.output.split(separator: "\n")[2] + "\n")
    let again = try backtrail("train \(small) --order backward --sampler file:batches --out b --json")
    #expect(try again.text("orders") == trained.text("orders"))
    #expect(try backtrail("train \(small) --initial a.safetensors --out c --json").status == 0)
  }

  @Test func averagesAfterTheFact() throws {
    let line = "train \(small) --order forward --evaluate every:5 --checkpoint-every 8 --seeds 2 --json"
    let trained = try backtrail("\(line) --average exponential:0.9 --average uniform --average polynomial:4 --out run")
    #expect(try trained.text("averages").contains("forward average polynomial:4"))
    // States that the run stored are loaded, including the one at its end, which is not a multiple of
    // --checkpoint-every.
    let kept = try backtrail("average run --json")
    #expect(kept.status == 0, "\(kept.errors)")
    let averages = try #require(kept.json["averages"] as? [[String: Any]])
    #expect(averages.count == 4 * 2)
    for average in averages {
      #expect(average["weightDistance"] as? Double == 0)
      let digest = try #require(average["digest"] as? String)
      #expect(try trained.text(average["average"] as? String == "forward" ? "orders" : "averages").contains(digest))
    }
    #expect(kept.json["gradientEvaluations"] as? Int == 0)
    let asked = "average run --average uniform:12 --average exponential:0.8 --average uniform:6"
    let table = try backtrail(asked)
    #expect(table.output.contains("uniform:6: not near; --exact") && table.output.contains("with 40 gradient evaluations"))
    let exact = try backtrail("\(asked) --seed 1 --exact --json")
    #expect(exact.json["gradientEvaluations"] as? Int == 20)
    #expect((exact.json["summary"] as? [[String: Any]])?.count == 4)
    #expect(try backtrail("average run --iterate 16").status == 0)

    #expect(try backtrail("\(line) --average none --out without").status == 0)
    for (line, status, word) in [
      ("average run --iterate 10", 78, "the nearest are at 8, 16, 20"), ("average run --iterate 10", 78, "--exact"),
      ("average run --average uniform:21", 64, "--iterate"), ("average run --average uniform:x", 64, "uniform:200"),
      ("average run --average uniform:5 --average uniform:5", 64, "twice"), ("average run --seed 7", 78, "--seed"),
      ("average run --iterate 0", 64, "--iterate"), ("average without", 64, "--average"),
      ("average without --average uniform:5", 78, "--exact"),
    ] as [(String, Int32, String)] {
      let command = try backtrail(line)
      #expect(command.status == status, "\(line): \(command.errors)")
      #expect(command.errors.contains(word), "\(line): \(command.errors)")
    }
    #expect(try backtrail("average without --average uniform:5 --exact").status == 0)
  }

  @Test func aConfigurationFileStandsForFlags() throws {
    try folder.write("model: mlp:8\nsteps: 20\nevaluation-examples: 20\norder: [backward]\nlearning-rate: 0.1\n", to: "run.yaml")
    let fromFile = try backtrail("train --config run.yaml --out a --json")
    let fromFlags = try backtrail("train \(small) --order backward --learning-rate 0.1 --out b --json")
    #expect(fromFile.status == 0)
    #expect(try fromFile.text("orders") == fromFlags.text("orders"))
    try folder.write("stepz: 20\n", to: "typo.yaml")
    let typo = try backtrail("train --config typo.yaml --out c")
    #expect(typo.status == 64)
    #expect(typo.errors.contains("stepz") && typo.errors.contains("line 1"))
    try folder.write("steps: many\n", to: "type.yaml")
    #expect(try backtrail("train --config type.yaml --out c").status == 64)
    try folder.write("a: [", to: "broken.yaml")
    #expect(try backtrail("train --config broken.yaml --out c").status == 64)
  }

  @Test func thePlansInstructionsArePrinted() throws {
    let plan = try backtrail("plan --instructions --lanes 1 --steps 4 --order tail:2 --evaluate at:3,4")
    #expect(
      plan.output == """
        segment 0
          start 0
          apply 3
          save memory 0
        segment 1 after 0
          load memory 0
          release memory 0
          apply 2-1
          observe 0:3
        segment 2 after 0
          load memory 0
          release memory 0
          apply 4
          apply 2-1
          observe 0:4

        """)
    #expect(plan.status == 0)
  }

  /// For each kind of bad input there is one clear line that names it, and an exit code of sysexits.
  @Test func badInput() throws {
    try folder.write("1,2,0\n3,nan,1\n", to: "nan.csv")
    try folder.write("1 2\n3\n", to: "ragged")
    try folder.write("1\n2-1\n3-1\n", to: "short")
    try folder.write("not safetensors", to: "bad.safetensors")
    for name in ["empty", "filled"] {
      try FileManager.default.createDirectory(atPath: folder(name), withIntermediateDirectories: true)
    }
    try folder.write("mine", to: "filled/notes.txt")
    let cases: [(line: String, status: Int32, word: String)] = [
      ("train --data mnist:nowhere", 66, "nowhere"), ("train --data mnist:empty", 66, "train-images"),
      ("train --data csv:nan.csv", 65, "line 2"), ("train --data csv:none.csv", 66, "none.csv"),
      ("train --data moon", 64, "moon"), ("train --model moon", 64, "moon"), ("train --order moon", 64, "moon"),
      ("train --order tail", 64, "tail"), ("train --order file:nothing", 66, "nothing"),
      ("train --steps 0", 64, "--steps"), ("train --steps x", 64, "steps"),
      ("train --batch-size 2000", 78, "2000"), ("train --sampler file:ragged", 65, "line 2"),
      ("train --sampler file:nothing", 66, "nothing"), ("train --initial bad.safetensors", 65, "bad.safetensors"),
      ("train --initial nothing", 66, "nothing"), ("train --config nothing", 66, "nothing"),
      ("train --learning-rate -1", 64, "learning-rate"), ("train --divergence-limit -1", 64, "--divergence-limit"),
      ("train --out filled", 73, "filled"), ("train --out /proc/nothing/here", 73, "/proc/nothing"),
      ("train --unknown", 64, "unknown"), ("export nowhere --order forward --iterate 1 --to x", 66, "nowhere"),
      ("runs show empty", 66, "empty"), ("batches nowhere", 66, "nowhere"), ("data info moon", 64, "moon"),
      ("plan --seeds 0", 64, "--seeds"), ("train --memory-budget x", 64, "--memory-budget"),
      ("train --memory-budget 1MiB", 78, "--memory-budget is 1MiB"), ("train --optimizer moon", 64, "moon"),
      ("train --optimizer adam:2", 64, "adam:2"), ("train --weight-decay x", 64, "weight decay 'x'"),
      ("train --optimizer adam --optimizer-precision 4bit", 64, "float32 or 8bit"), ("train --optimizer-precision 8bit", 78, "--optimizer sgd has none"),
      ("train --schedule moon", 64, "moon"), ("train --warm-up -1", 64, "--warm-up"),
      ("train --average moon", 64, "moon"), ("train --average exponential:1", 64, "β above 0 and below 1"),
      ("train --average polynomial:-1", 64, "γ from 0"), ("train --average uniform:5", 64, "uniform:5"),
      ("average nowhere", 66, "nowhere"), ("average nowhere --average moon", 64, "uniform:L"),
      ("train --schedule-index moon", 64, "--schedule-index"), ("train --recalibrate 2", 78, "--recalibrate"),
      ("train --order file:short@auto:0.1", 78, "3 lines"), ("train --order file:short --order backward --cost-budget 9999", 78, "3 lines"),
      ("train --cost-budget 1e300", 64, "1e300"), ("average nowhere --iterate 9223372036854775807", 64, "--iterate"),
      ("train --augment moon", 64, "moon"), ("train --data synthetic --augment flip", 78, "flip"),
      ("train --data cifar10:empty", 66, "data_batch_1.bin"), ("train --data cifar100:empty", 66, "train.bin"),
      ("train --data text:nan.csv", 78, "--model gpt"), ("train --data text:nan.csv --model gpt", 78, "nan.csv"),
      ("train --data digits --model gpt", 78, "gpt"), ("train --model lenet", 78, "lenet"),
      ("train --data synthetic --model resnet18", 78, "resnet18"), ("train --model gpt:heads=3", 64, "gpt:heads=3"),
    ]
    for (line, status, word) in cases {
      let command = try backtrail(line)
      #expect(command.status == status, "\(line): \(command.errors)")
      #expect(command.errors.contains(word), "\(line): \(command.errors)")
      #expect(command.output.isEmpty, "\(line)")
    }
  }

  /// Promise "kept budget": the process stays within the given memory, with the same bits, or is refused
  /// before it starts.
  @Test func aMemoryBudgetIsKept() throws {
    var random = SplitMix(state: 4)
    for (name, count) in [("data_batch_1", 70), ("test_batch", 8)] {
      let records = (0..<count).flatMap { index -> [UInt8] in
        [UInt8(index % 10)] + (0..<3072).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      }
      try folder.write(records, to: "\(name).bin")
    }
    let line = """
      --data cifar10:. --model resnet18:8 --batch-size 64 --learning-rate 0.001 --steps 2 --order forward --order backward \
      --evaluate at:1,2 --evaluation-batch-size 4 --json
      """
    let free = try backtrail("train \(line) --out free")
    let peak = try #require(free.json["peakResidentBytes"] as? Int)
    let refused = try backtrail("train \(line) --memory-budget 40MiB --out refused")
    #expect(refused.status == 78 && !FileManager.default.fileExists(atPath: folder("refused")))
    let words = refused.errors.split(separator: " ")
    let least = try #require(words.firstIndex(of: "with").flatMap { Int(words[$0 + 2].filter(\.isNumber)) })
    #expect(least << 20 < peak * 3 / 4)
    var peaks: [Int] = []
    for budget in [least + 2, (least + (peak >> 20)) / 2, (peak >> 20) + 20] {
      let command = try backtrail("train \(line) --memory-budget \(budget)MiB --out at\(budget)")
      #expect(command.status == 0, "\(command.errors)")
      #expect(try command.text("orders") == free.text("orders"), "\(budget)")
      let reached = try #require(command.json["peakResidentBytes"] as? Int)
      #expect(reached <= budget << 20, "\(reached) of \(budget) MiB")
      peaks.append(reached)
    }
    #expect(peaks[0] < peaks[2])
    // Measuring how many updates a time allows takes memory too.
    let timed = line.replacingOccurrences(of: "--evaluate at:1,2", with: "--cost-budget 20s")
    let command = try backtrail("train \(timed) --memory-budget \(least + 2)MiB --out timed")
    #expect(command.status == 0, "\(command.errors)")
    #expect(try #require(command.json["peakResidentBytes"] as? Int) <= (least + 2) << 20)
    let resumed = try backtrail("resume at\(least + 2) --steps 3 --memory-budget \(least + 20)MiB --json")
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(try #require(resumed.json["peakResidentBytes"] as? Int) <= (least + 20) << 20)
    #expect(try backtrail("resume free --memory-budget x").status == 64)
    let plan = try backtrail("plan \(line) --memory-budget \(least + 2)MiB")
    let memory = try #require(plan.json["memory"] as? [[String: Any]])
    #expect(memory.reduce(0) { $0 + ($1["bytes"] as? Int ?? 0) } == plan.json["predictedPeakBytes"] as? Int)
  }

  /// Forward and its averages are replayed once it is known where they are observed, but their memory is reserved
  /// from the beginning.
  @Test func aMemoryBudgetHasRoomForWhatComesLast() throws {
    func least(_ schedule: String) throws -> Int {
      let refused = try backtrail("train --model mlp:1024,1024 --steps 60 --evaluate \(schedule) --memory-budget 1MiB --out refused")
      #expect(refused.status == 78)
      let words = refused.errors.split(separator: " ")
      return try #require(words.firstIndex(of: "with").flatMap { Int(words[$0 + 2].filter(\.isNumber)) })
    }
    #expect(try abs(least("auto:0.01") - least("every:20")) <= 2)
  }

  /// Forward, backward and tail for every model, with the same digests on one lane and on two.
  @Test(arguments: [
    ("digits", "mlp:9", "momentum"), ("cifar10:cifar", "lenet", "sgd"), ("cifar10:cifar", "resnet18:2", "adam"),
    ("cifar100:cifar", "resnet50:1", "nesterov"), ("text:text.txt", "gpt:layers=2,heads=2,width=8,context=5,dropout=0.1", "adamw"),
  ])
  func everyModelTrainsInAnyOrder(data: String, model: String, optimizer: String) throws {
    var random = SplitMix(state: 4)
    for (name, labels, count) in [("data_batch_1", 1, 20), ("test_batch", 1, 8), ("train", 2, 20), ("test", 2, 8)] {
      var records: [UInt8] = []
      for index in 0..<count {
        for _ in 0..<labels { records.append(UInt8(index % 10)) }
        for _ in 0..<3072 { records.append(UInt8(truncatingIfNeeded: random.next())) }
      }
      try FileManager.default.createDirectory(atPath: folder("cifar"), withIntermediateDirectories: true)
      try folder.write(records, to: "cifar/\(name).bin")
    }
    try folder.write(Array(String(repeating: "the quick brown fox. ", count: 20).utf8), to: "text.txt")
    let line = """
      train --data \(data) --model \(model) --optimizer \(optimizer) --learning-rate 0.001 --batch-size 4 --steps 6 \
      --order forward --order backward --order tail:2 --evaluate at:3,6 --evaluation-examples 4 --json
      """
      + (data.hasPrefix("cifar") ? " --augment crop:4,flip" : "") + (model.hasPrefix("resnet") ? " --recalibrate 2" : "")
    let (one, two) = (try backtrail("\(line) --lanes 1 --out one"), try backtrail("\(line) --lanes 2 --out two"))
    #expect(one.status == 0 && two.status == 0, "\(one.errors) \(two.errors)")
    #expect(try one.text("orders") == two.text("orders"))
    #expect(one.json["gradientEvaluations"] as? Int == one.json["predictedGradientEvaluations"] as? Int)
    let verify = try backtrail("verify one")
    #expect(verify.status == 0, "\(verify.output) \(verify.errors)")
    let text = try backtrail("text one --order backward --iterate 6 --length 7 --prompt fox")
    #expect(text.status == (data.hasPrefix("text") ? 0 : 78))
    if text.status == 0 { #expect(text.output.hasPrefix("fox") && text.output.count == 3 + 7 + 1) }
  }

  @Test func helpAndListsEndWell() throws {
    for line in ["--help", "train --help", "data list", "data info digits", "data info synthetic --json", "runs list"] {
      #expect(try backtrail(line).status == 0, "\(line)")
    }
  }
}
