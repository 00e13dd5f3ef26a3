import Datasets
import Foundation
import TestSupport
import Testing

@Suite struct TokensTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  func bytes(_ tokens: [Int]) -> [UInt8] { tokens.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] } }

  func load(
    _ training: [UInt8], _ test: [UInt8], context: Int? = 3, options: String = "", limit: Int = Dataset.mostResidentBytes
  ) throws -> Dataset {
    try folder.write(training, to: "train.bin")
    try folder.write(test, to: "val.bin")
    return try Dataset.load("tokens:\(folder.path)\(options)", context: context, residentLimit: limit)
  }

  @Test(arguments: [[], header([20_240_520, 1, 8])])
  func windowsAreLabelledWithWhatFollows(header: [UInt8]) throws {
    let tokens = [50_256, 1, 300, 2, 70, 6, 5, 4]
    let data = try load(header + bytes(tokens), bytes([9, 8, 7, 6, 5, 4, 3, 2]))
    #expect(data.classCount == 50_257 && data.exampleShape == [3] && data.targetShape == [3])
    #expect(data.training.count == 5 && data.test.count == 2)
    let rows = try gathered([0, 4], of: data.training)
    #expect(rows.features == [50_256, 1, 300, 70, 6, 5])
    #expect(rows.labels == [1, 300, 2, 6, 5, 4])
    let test = try gathered([0, 1], of: data.test)
    #expect(test.features == [9, 8, 7, 6, 5, 4] && test.labels == [8, 7, 6, 5, 4, 3])
    #expect(data.name == "tokens:\(folder.path),vocabulary=50257")
  }

  /// A header is not part of the data.
  @Test func bothLayoutsAreTheSameData() throws {
    let (training, test) = (bytes([1, 2, 3, 4, 5, 6]), bytes([6, 5, 4, 3]))
    let plain = try load(training, test).fingerprint
    #expect(try load(header([20_240_520, 1, 6]) + training, header([20_240_520, 1, 4]) + test).fingerprint == plain)
    #expect(try load(training, test, options: ",vocabulary=50000").fingerprint != plain)
    #expect(try load(test, training).fingerprint != plain)
  }

  @Test func theVocabularyIsWhatIsNamed() throws {
    let (training, test) = (bytes([1, 2, 3, 4, 5, 6]), bytes([6, 5, 4, 3]))
    #expect(try load(training, test, options: ",vocabulary=7").classCount == 7)
    #expect(try load(bytes([65_535, 0, 0, 0]), test, options: ",vocabulary=65536").classCount == 65_536)
    for limit in [0, 1 << 20] {
      let error = try #require(failure { try load(training, bytes([0, 5, 4, 6]), options: ",vocabulary=6", limit: limit) })
      #expect(error.isDamaged && error.place == .index(5) && "\(error)".contains("token 6") && "\(error)".contains("train.bin"))
      let beyond = try #require(failure { try load(training, bytes([0, 1, 50_257, 6]), limit: limit) })
      #expect(beyond.place == .index(2) && "\(beyond)".contains("val.bin") && "\(beyond)".contains("50256"))
    }
    for bad in ["0", "1", "65537", "x", "", "-5"] {
      #expect(failure { try load(training, test, options: ",vocabulary=\(bad)") }?.isUnknown == true, "\(bad)")
    }
  }

  @Test func numbersOfTokensAreTheText() throws {
    let vocabulary = try #require(try load(bytes([1, 2, 3, 4]), bytes([1, 2, 3, 4])).vocabulary)
    #expect(try vocabulary.encode(" 12 50256\n0 ") == [12, 50_256, 0] && vocabulary.decode([12, 50_256, 0]) == "12 50256 0")
    #expect(try vocabulary.beginning() == [50_256])
    for bad in ["50257", "-1", "a", "1,2"] { #expect(failure { try vocabulary.encode(bad) }?.isImpossible == true) }
  }

  /// Files that are none, or whose headers lie.
  @Test func namesWhatIsWrong() throws {
    let good = bytes([1, 2, 3, 4, 5, 6])
    let magic: UInt32 = 20_240_520
    let bad: [(bytes: [UInt8], says: String)] = [
      ([], "empty"), ([1], "1 bytes"), (good + [0], "13 bytes"), (Array(header([magic, 1, 6]).dropLast()) + [], "ends within the header"),
      (Array(header([magic]).prefix(4)), "ends within the header"), (Array(header([magic, 1, 6]).prefix(13)), "ends within the header"),
      (header([magic, 2, 6]) + good, "version 2"), (header([magic, 1, 7]) + good, "7 tokens"), (header([magic, 1, 5]) + good, "5 tokens"),
      (header([magic, 1, .max]) + good, "4294967295 tokens"), (header([magic, 1, 6]) + good + [0], "13 bytes"),
      (header([magic, 1, 0]) + good, "0 tokens"), (header([20_240_801, 7, 3]) + good, "4 bytes"),
    ]
    for (bytes, says) in bad {
      for limit in [0, 1 << 20] {
        let error = try #require(failure { try load(bytes, good, limit: limit) })
        #expect(error.isDamaged && "\(error)".contains(says) && "\(error)".contains("train.bin"), "\(error)")
      }
      #expect(failure { try load(good, bytes) }?.isDamaged == true)
    }
    #expect(failure { try load(header([magic, 1, 0]), good) }?.isImpossible == true)
    #expect(failure { try load(bytes([1, 2, 3]), good) }?.isImpossible == true)
    #expect(failure { try load(good, bytes([1, 2, 3])) }?.isImpossible == true)
    #expect(failure { try load(good, good, context: nil) }?.isImpossible == true)
    #expect(try load(bytes([1, 2, 3, 4]), bytes([1, 2, 3, 4])).training.count == 1)
    try FileManager.default.removeItem(atPath: folder("val.bin"))
    let missing = try #require(failure { try Dataset.load("tokens:\(folder.path)", context: 3) })
    #expect(missing.isMissing && "\(missing)".contains("val.bin") && "\(missing)".contains(folder.path))
    #expect(failure { try Dataset.load("tokens:/nowhere", context: 3) }?.isMissing == true)
    #expect(failure { try Dataset.load("tokens:", context: 3) }?.isUnknown == true)
  }
}
