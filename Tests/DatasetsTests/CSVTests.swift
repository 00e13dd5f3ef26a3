import Datasets
import Tensors
import TestSupport
import Testing

@Suite struct CSVTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  func load(
    _ text: String, file: String = "table.csv", options: String = "", targets: Targets.Kind = .classes
  ) throws -> Dataset {
    try Dataset.load("csv:\(try folder.write(text, to: file))\(options)", targets: targets)
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

  /// The same table in other notations.
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

  @Test(arguments: [("Label", ""), ("CLASS", ""), ("target", ""), ("y", ""), ("kind", ",label=kind"), ("Kind", ",target=kind")])
  func findsTheLabelColumn(heading: String, options: String) throws {
    let data = try load("\(heading),a\n0,5\n1,6\n0,7\n", options: options)
    #expect(data.training.labels == [1, 0])
    #expect(try gathered([0, 1], of: data.training).features == [6, 7])
  }

  @Test func fileNamesMayHoldCommas() throws {
    let data = try load("k,a\n0,5\n1,6\n0,7\n", file: "a,label=b,c.csv", options: ",label=k")
    #expect(data.name.hasSuffix("/a,label=b,c.csv,label=k"))
    #expect(data.training.labels == [1, 0])
    let other = try load("k,a\n0,5\n1,6\n0,7\n", file: "a,target=b.csv", options: ",missing=mean,target=k")
    #expect(other.name.hasSuffix("/a,target=b.csv,target=k,missing=mean"))
    #expect(other.fingerprint == data.fingerprint)
  }

  @Test(arguments: [",target=", ",label=", ",missing=", ",missing=zero", ",missing=drop,missing=", ",target=,missing=drop"])
  func senselessOptionsAreRefused(options: String) {
    #expect(failure { try load(Self.plain, options: options) }?.isUnknown == true)
  }

  @Test func readsValues() throws {
    let text = "y,a\n-0.5,5\n1e3,6\n0.25,7\n3,8\n4,9\n5,10\n"
    let data = try load(text, targets: .values)
    #expect(data.targetKind == .values && data.targetShape == [] && data.classCount == nil && data.outputCount == 1)
    #expect(data.training.values == [1e3, 0.25, 3, 4] && data.test.values == [-0.5, 5])
    let rows = try gathered([3, 1], of: data.training)
    #expect(rows.features == [9, 7] && rows.values == [4, 0.25] && rows.labels == [])
    #expect(try load(text, targets: .values).fingerprint == data.fingerprint)
    #expect(try load(text.replacing("1e3", with: "1e4"), targets: .values).fingerprint != data.fingerprint)
    // The same numbers as classes are different data.
    let classes = "y,a\n0,5\n1,6\n0,7\n1,8\n"
    #expect(try load(classes).fingerprint != load(classes, targets: .values).fingerprint)
  }

  @Test func whatHasClassesGivesNoValues() throws {
    for specification in ["digits", "synthetic", "mnist:/nowhere"] {
      #expect(failure { try Dataset.load(specification, targets: .values) }?.isImpossible == true)
    }
  }

  /// Rows 1 and 6 are test rows.
  static let gaps = "a,b,y\n1,NA,0\n3,4,1\nnan,6,1\n7,,0\n9,10,1\n?,12,0\n"

  @Test func rowsWithGapsAreLeftOut() throws {
    // Two rows are too few.
    let error = failure { try load(Self.gaps, options: ",missing=drop") }
    #expect(error?.isDamaged == true && error?.description.contains("4 with missing values") == true)
    let data = try load(Self.gaps + "13,14,null\n15,16,0\n17,18,1\n19,20,0\n", options: ",missing=drop")
    #expect(try gathered([0], of: data.test).features == [3, 4])
    #expect(try gathered([0, 1, 2, 3], of: data.training).features == [9, 10, 15, 16, 17, 18, 19, 20])
    #expect(data.training.labels == [1, 0, 1, 0])
  }

  @Test func meansOfTheTrainingRowsFillGaps() throws {
    let data = try load(Self.gaps, options: ",missing=mean")
    // In the training rows a is 3, 7 and 9, and b is 4, 6 and 10.
    let (a, b) = (Float(19.0 / 3), Float(20.0 / 3))
    #expect(try gathered([0, 1, 2, 3], of: data.training).features == [3, 4, a, 6, 7, b, 9, 10])
    #expect(try gathered([0, 1], of: data.test).features == [1, b, a, 12])
  }

  @Test(arguments: ["", "NA", "na", "NaN", "?", "NULL", "\"\"", " Null "])
  func aGapIsNamedWithTheWaysOut(cell: String) throws {
    for kind in [Targets.Kind.classes, .values] {
      let error = failure { try load("1,2,0\n3,\(cell),1\n5,6,1\n", targets: kind) }
      #expect(error?.place == .line(2, column: 2))
      let message = try #require(error).description
      #expect(message.contains("missing=drop") && message.contains("missing=mean"))
    }
    let target = failure { try load("1,2,0\n3,4,\(cell)\n5,6,1\n", options: ",missing=mean", targets: .values) }
    #expect(target?.place == .line(2, column: 3))
    #expect(target?.description.contains("missing=drop") == true)
    let column = failure { try load("1,2,0\n3,\(cell),1\n5,\(cell),1\n", options: ",missing=mean", targets: .values) }
    #expect(column?.description.contains("column 2") == true)
  }

  struct Damage: Sendable, CustomTestStringConvertible {
    let text: String
    let line: Int
    var column: Int?
    var options = ""
    var targets = Targets.Kind.classes
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
    Damage(text: plain, line: 1, options: ",target=c,missing=drop"),
    Damage(text: "1,2,0\n1,inf,1\n", line: 2, column: 2, options: ",missing=mean"),
    Damage(text: "1,2,0\n,none,1\n", line: 2, column: 2, options: ",missing=mean"),
    Damage(text: "1,2,0\n1,2,x\n", line: 2, column: 3, targets: .values),
    Damage(text: "1,2,0\n1,2,1e40\n", line: 2, column: 3, targets: .values),
  ])
  func namesWhereTheDamageIs(_ damage: Damage) {
    let error = failure { try load(damage.text, options: damage.options, targets: damage.targets) }
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
      for options in ["", ",missing=drop", ",missing=mean"] {
        do { _ = try Dataset.load("csv:\(path)\(options)", targets: .values) } catch { refused += 1 }
      }
    }
    #expect(refused > 400)
  }
}
