import Foundation
import Tensors
import TestSupport
import Testing

/// The digests of the last iterates of small runs with every model, optimizer, order and option that affects bits,
/// compared with those in `Tests/Fixtures/golden-digests.json`: at every level of SIMD that the machine has.
///
/// They change only with the revision of the kernels in the numerics fingerprint. To record them anew, put
/// `BACKTRAIL_RECORD_GOLDEN=1` in front of the test command.
@Suite struct GoldenDigestTests {
  struct Case: Codable, CustomTestStringConvertible, Sendable {
    let name: String
    /// The options as a user types them; `$FILES` stands for the data folder.
    let arguments: String
    /// Whether the run is killed once it has stored a checkpoint, and then resumed.
    var isKilled: Bool?
    /// The digests by series and seed, with fused products.
    var digests: [String: String]?
    /// The same where products are rounded before they are added to a sum.
    var roundedDigests: [String: String]?

    func expected(at level: SIMDLevel) -> [String: String]? { level.description == "sse2" ? roundedDigests : digests }

    var testDescription: String { name }
  }

  private static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/golden-digests.json")

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func digestsAreAsRecordedAtEveryLevel() throws {
    var cases = try JSONDecoder().decode([Case].self, from: Data(contentsOf: Self.path))
    #expect(cases.count >= 20)
    try writeFiles()
    let isRecording = ProcessInfo.processInfo.environment["BACKTRAIL_RECORD_GOLDEN"] != nil
    for level in SIMDLevel.available {
      for (place, golden) in cases.enumerated() {
        let (digests, fingerprint) = try digests(golden, place: place, at: level)
        #expect(!digests.isEmpty, "\(golden.name)")
        #expect(fingerprint.hasSuffix("products \(level.description == "sse2" ? "rounded" : "fused")"))
        // The levels with fused products must give what the best of them recorded.
        if isRecording && level.description == "sse2" {
          cases[place].roundedDigests = digests
        } else if isRecording && level == SIMDLevel.available.first {
          cases[place].digests = digests
        }
        #expect(digests == cases[place].expected(at: level), "\(golden.name), \(level)")
      }
    }
    guard isRecording else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try encoder.encode(cases).write(to: Self.path)
  }

  /// Trains a case and reads the digest of each series' last iterate.
  private func digests(_ golden: Case, place: Int, at level: SIMDLevel) throws -> (digests: [String: String], fingerprint: String) {
    let arguments = golden.arguments.replacing("$FILES", with: folder.path).split(separator: " ").map(String.init)
    let run = folder("run-\(place)-\(level)")
    let environment = ["BACKTRAIL_SIMD": level.description]
    let train = ["train", "--json", "--out", run] + arguments
    let command: Command
    if golden.isKilled ?? false {
      _ = try Command(train, in: folder.path, stop: .onceFilled(folder: run + "/checkpoints", signal: SIGKILL), environment: environment)
      command = try Command(["resume", run, "--json"], in: folder.path, environment: environment)
    } else {
      command = try Command(train, in: folder.path, environment: environment)
    }
    #expect(command.status == 0, "\(golden.name): \(command.errors)")
    var digests: [String: String] = [:]
    for key in ["orders", "averages"] {
      for series in command.json[key] as? [[String: Any]] ?? [] {
        let last = (series["iterates"] as? [[String: Any]])?.last
        let name = "\(series["order"] ?? "")".replacing(folder.path, with: "$FILES")
        digests["\(name) \(series["seed"] ?? "")"] = last?["digest"] as? String
      }
    }
    return (digests, command.json["fingerprint"] as? String ?? "")
  }

  /// Synthetic images, text, orders and batches, with the same bytes every time.
  private func writeFiles() throws {
    var random = SplitMix(state: 14)
    func bytes(_ count: Int, below bound: UInt64) -> [UInt8] { (0..<count).map { _ in UInt8(random.next() % bound) } }
    func records(_ count: Int) -> Data {
      Data((0..<count).flatMap { _ in bytes(1, below: 10) + bytes(3072, below: 256) })
    }
    try FileManager.default.createDirectory(atPath: folder("images"), withIntermediateDirectories: true)
    for batch in 1...5 { try records(12).write(to: URL(fileURLWithPath: folder("images/data_batch_\(batch).bin"))) }
    try records(24).write(to: URL(fileURLWithPath: folder("images/test_batch.bin")))
    let letters = Array("abcdefgh \n".utf8)
    try Data(bytes(2000, below: 10).map { letters[Int($0)] }).write(to: URL(fileURLWithPath: folder("text")))
    try "1\n2,1\n1-3\n".write(toFile: folder("orders"), atomically: false, encoding: .utf8)
    let batches = (0..<12).map { _ in bytes(8, below: 200).map(String.init).joined(separator: " ") }
    try (batches.joined(separator: "\n") + "\n").write(toFile: folder("batches"), atomically: false, encoding: .utf8)
  }
}
