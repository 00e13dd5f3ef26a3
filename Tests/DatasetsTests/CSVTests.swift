import Datasets
import TestSupport
import Testing

@Suite struct CSVTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  func load(_ text: String, file: String = "table.csv", options: String = "") throws -> Dataset {
    try Dataset.load("csv:\(try folder.write(text, to: file))\(options)")
  }

  /// Six rows; the first and the sixth are test rows.
  static let plain = "1,2,0\n3,4,1\n5,6,1\n7,8,0\n9,10,1\n11,12,0\n"

  @Test func readsRowsWithoutAHeader() throws {
    let data = try load(Self.plain)
    #expect(data.exampleShape == [2])
    #expect(data.classCount == 2)
    let training = try gathered([0, 3], of: data.training)
    #expect(training.features == [3, 4, 9, 10])
    #expect(data.training.labels == [1, 1, 0, 1])
    let test = try gathered([0, 1], of: data.test)
    #expect(test.features == [1, 2, 11, 12])
    #expect(data.test.labels == [0, 0])
  }

  /// The same table in other writings.
  @Test(arguments: [
    "a,b,c\n" + plain,
    "\u{FEFF}a,b,label\r\n" + plain.split(separator: "\n").joined(separator: "\r\n"),
    "\"a\",\"b, and \"\"more\"\"\nof it\",c\n" + plain,
    plain + "\n \r\n",
    plain.split(separator: ",").joined(separator: " ,\t"),
    "\"1\",2.0,0\n3e0,4,1.0\n 5 ,6,\"1\"\n7,8,0\n9,10,1\n11,12,0",
  ])
  func readsEveryWriting(_ text: String) throws {
    #expect(try load(text).fingerprint == load(Self.plain).fingerprint)
  }

  @Test func readsGzip() throws {
    try folder.appendGzip(Array(Self.plain.utf8), to: "table.csv.gz")
    #expect(try Dataset.load("csv:\(folder("table.csv.gz"))").fingerprint == load(Self.plain).fingerprint)
  }

  @Test(arguments: [("Label", ""), ("CLASS", ""), ("target", ""), ("y", ""), ("kind", ",label=kind")])
  func findsTheLabelColumn(heading: String, options: String) throws {
    let data = try load("\(heading),a\n0,5\n1,6\n0,7\n", options: options)
    #expect(data.training.labels == [1, 0])
    #expect(try gathered([0, 1], of: data.training).features == [6, 7])
  }

  @Test func fileNamesMayHoldCommas() throws {
    let data = try load("k,a\n0,5\n1,6\n0,7\n", file: "a,label=b,c.csv", options: ",label=k")
    #expect(data.name.hasSuffix("/a,label=b,c.csv,label=k"))
    #expect(data.training.labels == [1, 0])
  }

  struct Damage: Sendable, CustomTestStringConvertible {
    let text: String
    let line: Int
    var column: Int?
    var options = ""
    var testDescription: String { text.debugDescription + options }
  }

  @Test(arguments: [
    Damage(text: "1,2,0\n3,nan,1\n", line: 2, column: 2),
    Damage(text: "1,2,0\n-inf,1,1\n", line: 2, column: 1),
    Damage(text: "1,2,0\n1e39,1,1\n", line: 2, column: 1),
    Damage(text: "1,2,0\n1,,1\n", line: 2, column: 2),
    Damage(text: "1,,0\n1,2,1\n", line: 1, column: 2),
    Damage(text: "a,b,c\n1,2,0\n1,two,1\n", line: 3, column: 2),
    Damage(text: "\"a\nb\",c\n1,0\nx,1\n", line: 4, column: 1),
    Damage(text: "1,2,0\n1,2\n", line: 2),
    Damage(text: "1,2,0\n1,2,3,4\n", line: 2),
    Damage(text: "1,2,0\n\n1,2,1\n", line: 2),
    Damage(text: "1,2,0\n1,2,-1\n", line: 2, column: 3),
    Damage(text: "1,2,0\n1,2,0.5\n", line: 2, column: 3),
    Damage(text: "1,2,0\n1,2,3000000000\n", line: 2, column: 3),
    Damage(text: "1,2,0\n1,\"2,1\n", line: 2, column: 2),
    Damage(text: "1,2,0\n1,\"2\"3,1\n", line: 2, column: 2),
    Damage(text: "1\n2\n3\n", line: 1),
    Damage(text: "label,y\n1,0\n", line: 1),
    Damage(text: "a,b\n1,0\n", line: 1, options: ",label=c"),
    Damage(text: "a,a\n1,0\n", line: 1, options: ",label=a"),
    Damage(text: plain, line: 1, options: ",label=c"),
  ])
  func namesWhereTheDamageIs(_ damage: Damage) {
    let error = failure { try load(damage.text, options: damage.options) }
    #expect(error?.place == .line(damage.line, column: damage.column))
  }

  @Test(arguments: ["", "\n", "a,b\n", "1,0\n2,1\n", "1,0\n2,0\n3,0\n", "1,0\n2,1\n3,3\n", "1,1\n2,2\n3,1\n"])
  func refusesTablesThatCannotBeTrainedOn(_ text: String) {
    #expect(failure { try load(text) }?.isDamaged == true)
  }

  @Test func neverFailsOtherwise() throws {
    var refused = 0
    for bytes in damagedCopies(of: Array("a,\"b\"\n1,0\n2,1\n\"3\",0\r\n4,1\n".utf8), count: 500) {
      let path = try folder.write(bytes, to: "table.csv")
      do { _ = try Dataset.load("csv:\(path)") } catch { refused += 1 }
    }
    #expect(refused > 100)
  }
}
