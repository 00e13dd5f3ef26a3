import Backtrail
import Foundation
import TestSupport
import Testing

/// Behaviour that follows from the table of settings.
@Suite struct SettingsTests {
  /// For each setting, a value that is not its default, as a user gives it. Together they can be a run.
  private static let samples: [String: [String]] = [
    "data": ["synthetic:examples=100"], "augment": ["flip"], "model": ["linear"], "loss": ["huber:0.5"],
    "order": ["backward", "tail:3@every:2"], "steps": ["60"], "evaluate": ["auto:0.5"], "evaluation-examples": ["10"],
    "evaluation-batch-size": ["32"], "tolerance": ["0.5"], "divergence-limit": ["1000.5"], "cost-budget": ["2000"], "batch-size": ["16"], "learning-rate": ["0.25"],
    "optimizer": ["adam"], "weight-decay": ["0.5"], "optimizer-precision": ["8bit"], "schedule": ["cosine"],
    "warm-up": ["3"], "schedule-index": ["batch"],
    "recalibrate": ["2"], "sampler": ["replacement"], "seed": ["4"], "seeds": ["2"], "average": ["uniform", "exponential:0.5"],
    "initial": ["start.safetensors"], "start-precision": ["float16"], "activation-precision": ["bfloat16"], "lanes": ["1000"],
    "products": ["openblas"], "kernel-threads": ["2"],
    "checkpoint-every": ["7"], "memory-budget": ["400MiB"], "disk-budget": ["1537KiB"], "checkpoint-chain": ["2"],
    "checkpoint-level": ["3"],
  ]

  private func given(_ keys: some Sequence<String>) throws -> RunSettings {
    try keys.reduce(RunSettings()) { $0.completed(by: try RunSettings($1, #require(Self.samples[$1], "no value of \($1) to try"))) }
  }

  private static var keys: [String] { SettingsTable.descriptions.map(\.key) }

  /// The other settings that a sample needs: a cost budget requires an automatic schedule, and slots are those of an optimizer.
  private static func keys(with key: String) -> Set<String> {
    switch key {
    case "cost-budget": [key, "evaluate"]
    case "optimizer-precision": [key, "optimizer"]
    default: [key]
    }
  }

  @Test func keysAreDistinctWordsOfFlags() {
    #expect(Set(Self.keys).count == Self.keys.count && Set(Self.keys) == Set(Self.samples.keys))
    for setting in SettingsTable.descriptions {
      #expect(setting.key.wholeMatch(of: /[a-z]+(-[a-z]+)*/) != nil, "\(setting.key)")
      #expect(setting.help.hasSuffix("."), "\(setting.key)")
    }
  }

  /// Each sample alone and together with all others: from the options that make it again, from its document, and from
  /// a file.
  @Test func everySettingComesBack() throws {
    let folder = try TemporaryFolder()
    for keys in Self.keys.map(Self.keys(with:)) + [Set(Self.keys)] {
      let settings = try given(Self.keys.filter(keys.contains))
      let configuration = try RunConfiguration(settings)
      #expect(try configuration != RunConfiguration(RunSettings()), "\(keys)")
      let options = configuration.options()
      for key in keys { #expect(options.filter { $0.flag == key }.map(\.value) == Self.samples[key], "\(key)") }
      #expect(Set(options.map(\.flag)) == keys)
      #expect(try RunConfiguration(RunSettings(configuration)) == configuration, "\(keys)")
      let document = try JSONEncoder().encode(configuration)
      #expect(try JSONDecoder().decode(RunConfiguration.self, from: document) == configuration, "\(keys)")
      // JSON is YAML.
      try JSONEncoder().encode(settings).write(to: URL(fileURLWithPath: folder("settings.yaml")))
      #expect(try RunSettings(configurationFile: folder("settings.yaml")) == settings, "\(keys)")
    }
  }

  /// The table is right about bits: iterates and observations are the same whatever these settings are.
  @Test func settingsThatChangeNoBitChangeNone() async throws {
    let folder = try TemporaryFolder()
    func observed(_ change: RunSettings, _ name: String) async throws -> [Int: [String]] {
      var usual = try given(["model", "batch-size"])
      (usual.steps, usual.evaluate, usual.evaluationExamples, usual.orders) = (12, "every:1", 20, ["backward"])
      (usual.lanes, usual.averages) = (1, ["none"])
      let experiment = try RunSpecification(RunConfiguration(change.completed(by: usual)))
      let result = try await NetworkRun.create(at: folder(name), experiment).finish()
      let backward = try #require(result.orders.first { $0.series == .backward && $0.seed == 0 })
      return Dictionary(uniqueKeysWithValues: backward.iterates.map { ($0.n, ["\($0.digest)", "\($0.measurements.loss)", "\($0.measurements.values[1])"]) })
    }
    let expected = try await observed(RunSettings(), "usual")
    #expect(expected.count == 12)
    for setting in SettingsTable.descriptions where !setting.changesBits {
      var change = try given(Self.keys(with: setting.key))
      if setting.key == "lanes" { change.lanes = 3 }
      // The process runs other tests at the same time.
      if setting.key == "memory-budget" { change.memoryBudget = "64GiB" }
      let found = try await observed(change, setting.key)
      #expect(!found.isEmpty && found.allSatisfy { expected[$0.key] == $0.value }, "\(setting.key)")
    }
  }

  @Test func defaultsAreNotGiven() throws {
    let configuration = try RunConfiguration(RunSettings())
    #expect(configuration.options().isEmpty)
    #expect(try RunSettings(configuration) == RunSettings())
    #expect(configuration.steps == 1000 && configuration.evaluate == "every:50" && configuration.batchSize == 32)
  }

  @Test func someDefaultsFollowFromOtherSettings() throws {
    var settings = RunSettings()
    settings.steps = 60
    #expect(try RunConfiguration(settings).evaluate == "every:3")
    settings.costBudget = "90s"
    #expect(try RunConfiguration(settings).evaluate == "auto:0")
    settings.sampler = "file:batches.txt"
    let configuration = try RunConfiguration(settings)
    #expect(configuration.batchSize == nil && configuration.sampler.hasPrefix("file:/"))
    #expect(configuration.options().map(\.flag) == ["steps", "cost-budget", "sampler"])
  }

  /// Documents of earlier releases are written unchanged, whatever settings have been added since.
  @Test func storedKeysStay() throws {
    let stored = """
      {"augment":"flip","averages":[],"batchSize":32,"checkpointChain":0,"checkpointEvery":20,"checkpointLevel":1,\
      "costBudget":{"description":"90s","observationCharge":0.5,"seconds":90,"updates":700},"data":"digits","diskBudget":1573888,\
      "evaluate":"auto:0","evaluationBatchSize":64,"evaluationExamples":100,"initial":"a.safetensors","kernelThreads":1,"lanes":2,\
      "learningRate":0.25,"memoryBudget":419430400,"model":"linear","optimizer":"sgd","orders":["forward","backward","tail:8"],\
      "recalibrate":0,"sampler":"shuffle","schedule":"cosine","scheduleIndex":"position","scheduleSteps":20,"seed":0,"seedCount":2,\
      "startPrecision":"float32","steps":40,"tolerance":0.5,"warmUp":0,"weightDecay":"0.5"}
      """
    let configuration = try JSONDecoder().decode(RunConfiguration.self, from: Data(stored.utf8))
    #expect(configuration.isExtended && configuration.costBudget?.updates == 700)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    #expect(try String(decoding: encoder.encode(configuration), as: UTF8.self) == stored)
  }

  @Test func olderDocumentsHaveDefaults() throws {
    let configuration = try JSONDecoder().decode(RunConfiguration.self, from: Data(#"{"steps":40}"#.utf8))
    var settings = RunSettings()
    settings.steps = 40
    #expect(try configuration == RunConfiguration(settings))
  }

  @Test(arguments: [#"{"steps":0}"#, #"{"seedCount":10001}"#, #"{"orders":[]}"#, #"{"loss":"none"}"#, #"{"steps":"40"}"#, #"{"memoryBudget":0}"#])
  func documentsAreCheckedAsSettingsAre(document: String) {
    #expect(throws: (any Error).self) { try JSONDecoder().decode(RunConfiguration.self, from: Data(document.utf8)) }
  }

  @Test(arguments: ["cross-entropy", "cross-entropy:0.1", "mse", "huber", "huber:2", "binary-cross-entropy"])
  func lossesAreKnown(loss: String) throws {
    var settings = RunSettings()
    settings.loss = loss
    #expect(try RunConfiguration(settings).loss == loss)
  }

  @Test(arguments: ["", "cross-entropy:1", "cross-entropy:nan", "mse:1", "huber:0", "huber:", "absolute"])
  func otherLossesAreRefused(loss: String) {
    var settings = RunSettings()
    settings.loss = loss
    #expect(throws: RunError.self) { try RunConfiguration(settings) }
  }

  /// A text is read according to the type of its setting, wherever it is given.
  @Test(arguments: [("steps", "010"), ("steps", "1.0"), ("steps", "0x10"), ("learning-rate", "05"), ("learning-rate", "nan"), ("depth", "3")])
  func textOfAnotherKindIsRefused(key: String, text: String) {
    #expect(throws: RunError.self) { try RunSettings(key, [text]) }
  }
}
