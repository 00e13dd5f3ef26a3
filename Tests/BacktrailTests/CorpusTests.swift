import Foundation
import HostileInputs
import TestSupport
import Testing

/// Inputs that once broke a reader, and the initial inputs of fuzzing: see `make fuzz`.
/// One after the other, because an input of a kind has one place on disk.
@Suite(.serialized) struct CorpusTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Fuzz/Corpus").path

  static func bytes(_ kind: HostileInput, _ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(kind)/\(name)")))
  }

  /// No input causes a trap, a hang, or an allocation that its size does not justify.
  @Test(arguments: HostileInput.allCases)
  func everyInputIsAnswered(_ kind: HostileInput) throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: "\(Self.folder)/\(kind)").sorted()
    #expect(!names.isEmpty)
    for name in names {
      let bytes = try Self.bytes(kind, name)
      do {
        try kind.read(bytes)
        #expect(!name.hasPrefix("bad-"), "\(kind)/\(name) is read")
      } catch {
        #expect(!name.hasPrefix("seed-"), "\(kind)/\(name): \(error)")
      }
    }
  }

  /// The same inputs, with bytes changed or ends cut off.
  @Test(arguments: HostileInput.allCases)
  func everyMutationIsAnswered(_ kind: HostileInput) throws {
    var random = SplitMix(state: 13)
    let count = cases(100, long: 20_000)
    let inputs = try FileManager.default.contentsOfDirectory(atPath: "\(Self.folder)/\(kind)").sorted()
      .map { try Self.bytes(kind, $0) }.filter { $0.count < 10_000 }
    for index in 0..<count {
      var bytes = inputs[index % inputs.count]
      for _ in 0..<Int.random(in: 0..<4, using: &random) where !bytes.isEmpty {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        bytes[place] = Bool.random(using: &random) ? UInt8.random(in: 0...255, using: &random) : [0, 1, 0x7F, 0x80, 0xFF][place % 5]
      }
      if index % 4 == 0 { bytes.removeLast(Int.random(in: 0...bytes.count, using: &random)) }
      try? kind.read(bytes)
    }
  }
}
