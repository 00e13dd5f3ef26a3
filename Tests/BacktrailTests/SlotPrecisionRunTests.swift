import Backtrail
import Foundation
import Replay
import Runs
import TestSupport
import Testing

/// Runs whose optimizers' slots are in 8 bits.
@Suite struct SlotPrecisionRunTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func settings(_ optimizer: String, _ slots: String?, _ change: (inout RunSettings) -> Void = { _ in }) -> RunSettings {
    var settings = RunSettings()
    (settings.model, settings.optimizer, settings.optimizerPrecision) = ("mlp:24", optimizer, slots)
    (settings.orders, settings.steps, settings.evaluate) = (["forward"], 300, "at:300")
    (settings.batchSize, settings.learningRate, settings.averages) = (16, 0.003, ["none"])
    change(&settings)
    return settings
  }

  private func train(_ settings: RunSettings, _ name: String) async throws -> (run: NetworkRun, result: RunResult) {
    let run = try NetworkRun.create(at: folder(name), RunSpecification(RunConfiguration(settings)))
    return (run, try await run.finish())
  }

  private func digests(_ result: RunResult) -> [String: String] {
    var digests: [String: String] = [:]
    for series in result.orders + result.averages {
      for iterate in series.iterates { digests["\(series.series) \(iterate.n)"] = iterate.digest.description }
    }
    return digests
  }

  /// After 300 updates the digits are about as well known as with slots in float32, from other states.
  @Test(arguments: ["momentum", "nesterov", "adam", "adamw", "rmsprop"])
  func lossesAreNearThoseWithSlotsInFloat32(optimizer: String) async throws {
    func trained(_ slots: String) async throws -> RunResult.Iterate {
      let rate = ["momentum", "nesterov"].contains(optimizer) ? 0.03 : 0.003
      return try #require(try await train(settings(optimizer, slots) { $0.learningRate = rate }, slots).result.orders.first?.iterates.last)
    }
    let (whole, coded) = (try await trained("float32"), try await trained("8bit"))
    #expect(whole.digest != coded.digest)
    let (loss, other) = (whole.measurements.loss, coded.measurements.loss)
    #expect(loss < 0.5 && abs(other - loss) < 0.02 * loss, "\(loss), \(other)")
  }

  /// A run that goes on from a checkpoint, a difference or an average has the bits of one that was never interrupted.
  @Test(arguments: ["adamw", "momentum"])
  func aResumedRunIsTheUninterruptedOne(optimizer: String) async throws {
    func settings(_ steps: Int) -> RunSettings {
      self.settings(optimizer, "8bit") {
        ($0.orders, $0.averages) = (["forward", "backward", "tail:6"], ["exponential:0.9", "uniform"])
        ($0.steps, $0.evaluate, $0.checkpointEvery, $0.checkpointChain) = (steps, "every:10", 7, 3)
      }
    }
    let long = try await train(settings(60), "long")
    let short = try await train(settings(30), "short")
    let extended = try NetworkRun.open(folder("short"), steps: 60)
    let result = try await extended.finish()
    #expect(digests(result) == digests(long.result) && digests(result).count == 5 * 6)
    #expect(result.gradientEvaluations < long.result.gradientEvaluations && short.result.orders.count == 3)
    // Averages of stored ones, and the iterate that they end with.
    let profiles = try ["exponential:0.9", "uniform", "uniform:1", "uniform:25"].map { try AverageProfile($0) }
    let made = try await long.run.averages(profiles, n: 60, seeds: [0], isExact: false).averages
    let exact = try await long.run.averages(profiles, n: 60, seeds: [0], isExact: true).averages
    for (made, exact) in zip(made, exact) where made.weightDistance == 0 { #expect(made.digest == exact.digest, "\(made.average)") }
    #expect(made.filter { $0.weightDistance == 0 }.count == 4)
    #expect(made.allSatisfy { abs($0.measurements.loss) < 10 })
  }

  /// Tensors without a trace of the slots: another run begins with them, and slots that are zero.
  @Test func anotherRunBeginsWithTheTensors() async throws {
    let first = try await train(settings("adam", "8bit") { ($0.steps, $0.evaluate) = (40, "at:40") }, "first")
    let tensors = try await first.run.iterate(.forward, 40, seed: 0).tensors
    let configuration = try RunConfiguration(settings("adam", "8bit") { ($0.steps, $0.evaluate) = (10, "at:10") })
    let initial = try await InitialTensors.read("\(folder("first")):forward:40")
    let second = try NetworkRun.create(at: folder("second"), RunSpecification(configuration, initial: initial))
    let start = try await second.iterate(.forward, 0, seed: 0).tensors
    #expect(start.map(\.values) == tensors.map(\.values))
    #expect(try await second.finish().orders.count == 1)
  }

  @Test func anOptimizerWithoutSlotsIsRefused() throws {
    for optimizer in ["sgd", nil] {
      var settings = RunSettings()
      (settings.optimizer, settings.optimizerPrecision) = (optimizer, "8bit")
      let error = #expect(throws: RunError.self) { try RunConfiguration(settings) }
      guard case .impossible(let reason) = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(reason.contains("`optimizer-precision` 8bit") && reason.contains("adamw"))
      settings.optimizerPrecision = "float32"
      #expect(try RunConfiguration(settings) == RunConfiguration(RunSettings()))
    }
    for text in ["int8", "8", "", "8BIT"] { #expect(throws: RunError.self) { try RunConfiguration(RunSettings("optimizer-precision", [text])) } }
  }

  /// Slots in float32 are not stored in a configuration, so that documents stay those of earlier versions.
  @Test func theDefaultIsNotStored() throws {
    func stored(_ slots: String?) throws -> String {
      String(decoding: try JSONEncoder().encode(RunConfiguration(settings("adam", slots))), as: UTF8.self)
    }
    #expect(try !stored(nil).contains("optimizerPrecision") && stored("float32").count == stored(nil).count)
    #expect(try stored("8bit").contains(#""optimizerPrecision":"8bit""#))
  }

  @Test func aSweepMeasuresIt() async throws {
    let given = settings("adamw", nil) { ($0.model, $0.steps, $0.evaluate, $0.checkpointEvery) = ("mlp:64", 60, "at:60", 20) }
    let run = try await train(given, "run").run
    func points(_ settings: RunSettings, didRefuse: (String) -> Void = { Issue.record("\($0)") }) async throws -> [SettingPoint] {
      let sweep = SettingSweep(settings, beside: run) { settings, path in
        try await NetworkRun.create(at: path, RunSpecification(RunConfiguration(settings))).finish()
      }
      return try await sweep.measure([SweptSetting("optimizer-precision")], didRefuse: didRefuse)
    }
    let found = try await points(given)
    #expect(found.map(\.value) == ["", "float32", "8bit"] && found.map(\.hasSameBits) == [true, true, false])
    #expect(found[2].storedBytes < found[1].storedBytes * 3 / 4 && found[2].lossError.mean > 0)
    // Where there are no slots, a sweep of all settings says so and goes on.
    var refused: [String] = []
    var plain = given
    plain.optimizer = nil
    #expect(try await points(plain) { refused.append($0) }.map(\.value) == ["", "float32"])
    #expect(refused.count == 1 && refused[0].contains("has none"))
  }

  @Test(arguments: ["momentum", "adamw", "rmsprop"])
  func aRunThatDivergesSaysSo(optimizer: String) async throws {
    _ = try await train(settings(optimizer, "8bit") { ($0.learningRate, $0.evaluate) = (1e30, "every:20") }, "run")
    let stored = try StoredRun(folder("run"))
    #expect(stored.status == "finished" && stored.firstDivergences.map(\.n).allSatisfy { $0 == 20 } && !stored.firstDivergences.isEmpty)
  }
}
