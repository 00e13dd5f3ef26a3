import Foundation
import Tensors
import TestSupport
import Testing

/// Promise "same bits" with products by OpenBLAS, on one machine.
@Suite struct OpenBLASCommandTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try folder.write(String(repeating: "in reverse order, batches, ", count: 200), to: "text.txt")
  }

  /// The second has convolutions of every kind, of 1 × 1 pixel too, and statistics over the batch.
  private static let models = [
    "--model mlp:300,40 --batch-size 50 --optimizer momentum:0.9",
    "--model resnet50:16 --batch-size 6 --learning-rate 0.01 --recalibrate 2",
    "--model resnet18:16 --batch-size 6 --learning-rate 0.01",
    "--model gpt:layers=2,heads=2,width=48,context=40 --data text:text.txt --batch-size 5 --optimizer adamw --learning-rate 0.003",
  ]

  private func command(_ line: String, core: String? = nil, libraries: String? = nil) throws -> Command {
    var environment: [String: String] = [:]
    environment["OPENBLAS_CORETYPE"] = core
    environment["LD_LIBRARY_PATH"] = libraries
    return try Command(line.split(separator: " ").map(String.init), in: folder.path, environment: environment)
  }

  /// What is observed of each iterate, by order and n.
  private func iterates(_ command: Command) throws -> [String: String] {
    let orders = try #require(command.json["orders"] as? [[String: Any]], "\(command.errors)")
    var found: [String: String] = [:]
    for order in orders {
      for iterate in order["iterates"] as? [[String: Any]] ?? [] {
        let name = "\(order["order"] ?? "") \(iterate["n"] ?? "")"
        found[name] = "\(iterate["digest"] ?? "") \(iterate["testLoss"] ?? "")"
      }
    }
    return found
  }

  @Test(arguments: models) func nothingButTheConfigurationDecidesBits(model: String) throws {
    let train =
      "train \(model) --products openblas --steps 8 --evaluation-examples 40 --evaluation-batch-size 16 --average none --json "
    let whole = try command(train + "--order forward --order backward --evaluate every:2 --lanes 1 --out whole")
    let expected = try iterates(whole)
    #expect(expected.count == 8)
    func check(_ command: Command, of count: Int = 8, _ what: String) throws {
      let found = try iterates(command)
      #expect(command.status == 0 && found.count == count && found.allSatisfy { expected[$0.key] == $0.value }, "\(what): \(command.errors)")
    }
    let rest = "--order forward --order backward --evaluate every:2 "
    try check(command(train + rest + "--lanes 3 --checkpoint-every 0 --out lanes"), "lanes")
    try check(command(train + "--order backward --order forward --evaluate at:2,6 --lanes 2 --out others"), of: 4, "other iterates")
    let least = try #require(command(train + rest + "--memory-budget 8MiB").leastBudget)
    try check(command(train + rest + "--memory-budget \(least)MiB --out least"), "the least budget")
    try check(command(train + rest + "--memory-budget \(least + 3)MiB --lanes 2 --out more"), "a little more")
    try check(
      command(train.replacing("--steps 8", with: "--steps 4") + rest + "--checkpoint-every 2 --out part"), of: 4, "the first half")
    try check(command("resume part --steps 8 --json"), "the second half")
    let verified = try command("verify part")
    #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
  }

  /// What both compute, to rounding: by plain SGD with small rates, since other updates of untrained networks make much of little. Of the
  /// ResNet on images of 8 × 8 that is true of a few updates; builtin products without fused multiply-adds soon differ as much.
  @Test(arguments: [
    "mlp:300,40 --batch-size 50 --learning-rate 0.01 --steps 10 --evaluate every:5",
    "resnet18:16 --batch-size 64 --learning-rate 0.001 --steps 2 --evaluate every:1",
    "gpt:layers=2,heads=2,width=48,context=40 --data text:text.txt --batch-size 16 --learning-rate 0.01 --steps 10 --evaluate every:5",
  ])
  func lossesAgreeWithBuiltinOnes(model: String) throws {
    let losses = try ProductLibrary.allCases.map { library in
      let run = try command(
        """
        train --model \(model) --products \(library.rawValue) --order forward --order backward \
        --evaluation-examples 40 --average none --json --out \(library.rawValue)
        """)
      let orders = try #require(run.json["orders"] as? [[String: Any]], "\(run.errors)")
      #expect(orders.count == 2 && (run.json["fingerprint"] as? String)?.contains("OpenBLAS") == (library == .openBLAS))
      return orders.flatMap { ($0["iterates"] as? [[String: Any]] ?? []).compactMap { $0["testLoss"] as? Double } }
    }
    // With some of OpenBLAS's cores they have the same bits.
    #expect(losses[0].count == 4)
    for (a, b) in zip(losses[0], losses[1]) { #expect(abs(a - b) < 2e-4 * a, "\(a) and \(b)") }
  }

  @Test func aPlanSaysWhyBatchesAreWhole() throws {
    let plan = """
      plan --unmeasured --model mlp:900,900,900,900,900 --batch-size 1024 --order forward --steps 2 --lanes 1 --evaluation-examples 64 \
      --memory-budget\u{20}
      """
    let least = try #require(command(plan + "8MiB --products openblas").leastBudget)
    let parted = try #require(command(plan + "8MiB").leastBudget)
    #expect(parted < least)
    let words = try command(plan + "\(least)MiB --products openblas").output
    #expect(words.contains("Batches are not processed in parts: products by OpenBLAS can have other bits"), "\(words)")
    #expect(!(try command(plan + "\(least)MiB").output.contains("not processed in parts")))
  }

  @Test func eachLaneHasOneThread() throws {
    let refused = try command("plan --products openblas --kernel-threads 2")
    #expect(refused.status == 64 && refused.errors.contains("--kernel-threads is 2, but with --products openblas"))
  }

  #if os(Linux)
    /// Only who asks for the library needs it, and is told what is wrong with it.
    @Test func theLibraryIsLoadedForThoseWhoAskForIt() throws {
      try folder.write("no library", to: "libopenblas.so.0")
      let plan = "plan --unmeasured --steps 5 --products "
      let refused = try command(plan + "openblas", libraries: folder.path)
      #expect(refused.status == 78 && refused.errors.contains("OpenBLAS, which can't be loaded: \(folder("libopenblas.so.0"))"))
      #expect(try command(plan + "builtin", libraries: folder.path).status == 0)
    }
  #endif

  #if arch(x86_64)
    /// Another core has other bits, so that a run does not go on with it unasked.
    @Test func theCoreIsPartOfTheFingerprint() throws {
      let train = "train --model mlp:32 --products openblas --order forward --steps 10 --evaluate every:5 --json --out run"
      let fingerprints = try ["Nehalem", "Sandybridge"].map { core in
        try command(train + core, core: core).json["fingerprint"] as? String ?? ""
      }
      #expect(fingerprints[0].contains(" Nehalem with ") && fingerprints[1].contains(" Sandybridge with "), "\(fingerprints)")
      #expect(fingerprints[0].contains("; OpenBLAS "))
      let refused = try command("resume runNehalem --steps 20", core: "Sandybridge")
      #expect(refused.status == 78 && refused.errors.contains(fingerprints[0]) && refused.errors.contains(fingerprints[1]))
      let went = try command("resume runNehalem --steps 20 --allow-numerics-change --json", core: "Sandybridge")
      #expect(went.json["fingerprint"] as? String == "mixed: \(fingerprints[0]); then \(fingerprints[1])", "\(went.errors)")
      let again = try command("resume runSandybridge --steps 20 --json", core: "Sandybridge")
      #expect(again.status == 0 && again.json["fingerprint"] as? String == fingerprints[1], "\(again.errors)")
      // The core decides nothing of a run with builtin products.
      let builtin = train.replacing("--products openblas ", with: "")
      #expect(try command(builtin + "1", core: "Nehalem").text("orders") == command(builtin + "2", core: "Sandybridge").text("orders"))
    }
  #endif
}
