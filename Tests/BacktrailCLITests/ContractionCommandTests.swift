import Foundation
import TestSupport
import Testing

@Suite struct ContractionCommandTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try String(repeating: "to be or not to be; ", count: 40).write(toFile: folder("corpus.txt"), atomically: false, encoding: .utf8)
    let models = [
      ("mlp", "--model mlp:8 --optimizer adamw:0.9,0.95 --schedule cosine --learning-rate 0.01 --optimizer-precision 8bit"),
      ("resnet", "--model resnet18:2 --recalibrate 2"), ("gpt", "--data text:corpus.txt --model gpt:layers=1,heads=1,width=8,context=8"),
    ]
    for (name, model) in models {
      let made = try shell(
        "$B train \(model) --steps 12 --evaluate at:12 --evaluation-examples 30 --batch-size 4 --seeds 2 --order forward --out \(name)")
      try #require(made.status == 0, "\(made.errors)")
    }
  }

  private func shell(_ script: String) throws -> Command { try Command.shell(script, in: folder.path) }

  @Test(arguments: [("mlp", 30), ("resnet", 30), ("gpt", 8 * 9)]) func everyNetworkIsMeasured(run: String, predictions: Int) throws {
    let told = try shell("$B contraction \(run) --seed 1 --points 4 --directions 2 --interval 3 --json --chart \(run).svg")
    #expect(told.status == 0, "\(told.errors)")
    #expect(told.json["seed"] as? Int == 1 && told.json["iterate"] as? Int == 12 && told.json["predictions"] as? Int == predictions, "\(told.json["predictions"] ?? "")")
    for path in ["forward", "backward"] {
      let growth = try #require(told.json[path] as? [String: Any])
      let exponent = try #require(growth["exponent"] as? [String: Any])
      #expect(exponent["value"] is Double && exponent["halfWidth"] is Double && exponent["region"] is String)
      #expect((growth["blocks"] as? [Any])?.count == 10)
    }
    let tails = try #require(told.json["tails"] as? [String: Any])
    #expect((tails["points"] as? [[String: Any]])?.map { $0["tail"] as? Int } == [1, 3, 6])
    #expect((told.json["changes"] as? [Any])?.count == 6)
    let chart = try XMLDocument(String(contentsOfFile: folder("\(run).svg"), encoding: .utf8))
    #expect(chart.elements.contains { $0.text.contains("backward, predictions") })
  }

  @Test func tablesSayWhatWasMeasured() throws {
    let told = try shell("$B contraction mlp --points 3")
    #expect(told.status == 0 && told.errors.contains("gradient evaluations ahead"), "\(told.errors)")
    for words in ["exponent per update", "tail:6", "of predictions", "As pairs: by what"] { #expect(told.output.contains(words), "\(words)") }
    #expect(try shell("$B verify mlp >/dev/null").status == 0)
  }

  @Test func badArgumentsAreRefused() throws {
    for (arguments, status) in [
      ("nowhere", 66), ("mlp --iterate 1", 64), ("mlp --perturb some", 64), ("mlp --seed 7", 78), ("mlp --size 0", 64),
      ("mlp --chart a.png", 64), ("mlp --iterate 1000000000", 78),
    ] as [(String, Int32)] {
      let refused = try shell("timeout -s KILL 30 $B contraction \(arguments)")
      #expect(refused.status == status && refused.output.isEmpty, "\(arguments): \(refused.errors)")
    }
  }
}
