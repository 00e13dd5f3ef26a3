import Foundation
import Tensors
import TestSupport
import Testing

/// The environment variable that names a level of SIMD.
@Suite struct SIMDChoiceTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func plan(_ level: String) throws -> Command {
    try Command(["plan", "--steps", "5", "--unmeasured", "--json"], in: folder.path, environment: ["BACKTRAIL_SIMD": level])
  }

  @Test func everyLevelOfTheMachineCanBeForced() throws {
    for level in SIMDLevel.available {
      let command = try plan(level.description)
      #expect(command.status == 0, "\(command.errors)")
      #expect(command.json["simdLevel"] as? String == level.description)
    }
    #expect(try plan("").json["simdLevel"] as? String == SIMDLevel.available.first?.description)
  }

  @Test func anUnknownLevelIsAnErrorThatNamesThoseThereAre() throws {
    for level in ["mmx", "AVX2", SIMDLevel.available.contains { $0.description == "neon" } ? "avx2" : "neon"] {
      let command = try plan(level)
      #expect(command.status == 64 && command.output.isEmpty)
      #expect(command.errors.contains("'\(level)'"))
      for available in SIMDLevel.available { #expect(command.errors.contains(available.description)) }
    }
  }

  /// A run begun at one level goes on at another with the same bits, without a word.
  @Test func aRunGoesOnAtAnotherLevelWithFusedProducts() throws {
    let fused = SIMDLevel.available.map(\.description).filter { $0 != "sse2" }
    let train = ["train", "--model", "mlp:16", "--steps", "20", "--evaluate", "every:5", "--json", "--out"]
    guard let first = fused.first, let last = fused.last else { return }
    let whole = try Command(train + ["whole"], in: folder.path, environment: ["BACKTRAIL_SIMD": first])
    let part = try Command(
      train.map { $0 == "20" ? "10" : $0 } + ["part"], in: folder.path, environment: ["BACKTRAIL_SIMD": first])
    #expect(whole.status == 0 && part.status == 0, "\(whole.errors)\(part.errors)")
    let resumed = try Command(
      ["resume", "part", "--steps", "20", "--json"], in: folder.path, environment: ["BACKTRAIL_SIMD": last])
    let expected = try #require((whole.json["orders"] as? [[String: Any]])?.first?["iterates"] as? [[String: Any]])
    let found = try #require((resumed.json["orders"] as? [[String: Any]])?.first?["iterates"] as? [[String: Any]])
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(found.map { $0["digest"] as? String } == expected.map { $0["digest"] as? String })
    #expect(resumed.json["fingerprint"] as? String == whole.json["fingerprint"] as? String)
  }
}
