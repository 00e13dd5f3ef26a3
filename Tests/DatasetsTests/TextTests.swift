import Datasets
import Foundation
import TestSupport
import Testing

@Suite struct TextTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  func load(_ text: String, context: Int?) throws -> Dataset {
    try folder.write(Array(text.utf8), to: "text.txt")
    return try Dataset.load("text:\(folder("text.txt"))", context: context)
  }

  @Test func windowsAreLabelledWithWhatFollows() throws {
    // The text has 40 characters, b a c b a c …, of which 36 are for training.
    let data = try load(String(repeating: "bac", count: 14).prefix(40) + "", context: 3)
    #expect(data.classCount == 3 && data.exampleShape == [3] && data.training.targetCount == 3)
    #expect(data.training.count == 33 && data.test.count == 1)
    let rows = try gathered([0, 2], of: data.training)
    #expect(rows.features == [1, 0, 2, 2, 1, 0] && rows.labels == [0, 2, 1, 1, 0, 2])
    #expect(try gathered([0], of: data.test).features == [1, 0, 2])
    #expect(try gathered([32], of: data.training).labels.last == 2, "the last character to train on, the 36th")
  }

  @Test func testWindowsCoverEveryCharacterOnce() throws {
    let text = (0..<230).map { String(UnicodeScalar(UInt8(33 + $0 % 90))) }.joined()
    let data = try load(text, context: 5)
    #expect(data.test.count == 4, "23 characters are 4 windows of 5 and what follows each")
    let rows = try gathered(Array(0..<data.test.count), of: data.test)
    let expected = text.unicodeScalars.suffix(23).map { Float($0.value) }
    let vocabulary = try #require(data.vocabulary)
    let features = vocabulary.decode(rows.features.map { Int($0) }).unicodeScalars.map { Float($0.value) }
    #expect(features == Array(expected.prefix(20)))
    #expect(rows.labels.dropLast() == rows.features.dropFirst().map { Int32($0) }[...])
  }

  @Test func charactersAreUnicodeScalarsInOrder() throws {
    let data = try load(String(repeating: "zß€a\n𝄞", count: 20), context: 2)
    let vocabulary = try #require(data.vocabulary)
    #expect(vocabulary.characters == ["\n", "a", "z", "ß", "€", "𝄞"])
    #expect(try vocabulary.encode("€a𝄞") == [4, 1, 5])
    #expect(vocabulary.decode([4, 1, 5]) == "€a𝄞")
    #expect(failure { try vocabulary.encode("b") }?.isImpossible == true)
  }

  @Test func fingerprintsTellContextsAndCharactersApart() throws {
    let (text, other) = (String(repeating: "abcd", count: 50), String(repeating: "abce", count: 50))
    let fingerprints = [
      try load(text, context: 4).fingerprint, try load(text, context: 5).fingerprint, try load(other, context: 4).fingerprint,
    ]
    #expect(Set(fingerprints).count == 3)
    #expect(try load(text, context: 4).fingerprint == fingerprints[0])
  }

  @Test func namesWhatIsWrong() throws {
    #expect(failure { try load("too short", context: 64) }?.isImpossible == true)
    #expect(failure { try load("", context: 1) }?.isImpossible == true)
    #expect(failure { try load(String(repeating: "ab", count: 99), context: nil) }?.isImpossible == true)
    try folder.write([0x61, 0xFF, 0x62], to: "bytes")
    #expect(failure { try Dataset.load("text:\(folder("bytes"))", context: 1) }?.isDamaged == true)
    #expect(failure { try Dataset.load("text:\(folder("none"))", context: 1) }?.isMissing == true)
    #expect(failure { try Dataset.load("text:", context: 1) }?.isUnknown == true)
  }
}
