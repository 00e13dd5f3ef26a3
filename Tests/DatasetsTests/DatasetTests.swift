import Datasets
import Foundation
import Testing

@Suite struct DatasetTests {
  @Test func digitsAreThoseOfUCI() throws {
    let digits = try Dataset.load("digits")
    #expect(digits.training.count == 1437)
    #expect(digits.test.count == 360)
    #expect(digits.exampleShape == [8, 8, 1])
    #expect(digits.classCount == 10)
    #expect(digits.byteCount == 1797 * (64 + 4))
    var counts = [Int](repeating: 0, count: 10)
    for label in digits.training.labels + digits.test.labels { counts[Int(label)] += 1 }
    #expect(counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])

    // The first row of the source is a test example, its second row the first training example.
    let zero = try gathered([0], of: digits.test)
    #expect(zero.labels == [0])
    #expect(zero.features[0..<8].map { $0 * 16 } == [0, 0, 5, 13, 9, 1, 0, 0])
    let one = try gathered([0], of: digits.training)
    #expect(one.labels == [1])
    #expect(one.features[0..<8].map { $0 * 16 } == [0, 0, 0, 12, 13, 5, 0, 0])
  }

  /// Runs are resumed only with data of the same fingerprint, so the fingerprint must not change by accident.
  @Test func fingerprintStays() throws {
    #expect(try Dataset.load("digits").fingerprint.description == "25bb4f193c09e2621eacd11031ffaecc")
  }

  @Test func fingerprintCoversAllThatIsRead() throws {
    func dataset(
      bytes: [UInt8] = [1, 2, 3, 4], divisor: Float = 2, shape: [Int] = [2], labels: [Int32] = [0, 1], classes: Int = 2
    ) throws -> Dataset {
      let split = try Examples(
        bytes: bytes, dividedBy: divisor, exampleShape: shape, labels: labels, classCount: classes)
      return try Dataset(name: "made", training: split, test: split)
    }
    let floats = try Examples(floats: [0.5, 1, 1.5, 2], exampleShape: [2], labels: [0, 1], classCount: 2)
    let variants = [
      try dataset(), try dataset(bytes: [1, 2, 3, 5]), try dataset(divisor: 3), try dataset(shape: [1, 2]),
      try dataset(labels: [1, 0]), try dataset(classes: 3), try Dataset(name: "made", training: floats, test: floats),
    ]
    #expect(Set(variants.map(\.fingerprint)).count == variants.count)
    #expect(try dataset().fingerprint == variants[0].fingerprint)
  }

  @Test func gatherWritesTheRowsAskedFor() throws {
    let examples = try Examples(
      bytes: [0, 51, 102, 153, 204, 255], dividedBy: 255, exampleShape: [2], labels: [2, 0, 1], classCount: 3)
    let rows = try gathered([2, 0, 2], of: examples)
    #expect(rows.features == [0.8, 1, 0, 0.2, 0.8, 1])
    #expect(rows.labels == [1, 2, 1])
  }

  @Test func examplesThatDisagreeAreRefused() {
    let labels = failure { try Examples(floats: [1, 2], exampleShape: [1], labels: [0, 2], classCount: 2) }
    #expect(labels?.isImpossible == true)
    let count = failure { try Examples(floats: [1, 2, 3], exampleShape: [2], labels: [0], classCount: 1) }
    #expect(count?.isImpossible == true)
    let shape = failure { try Examples(floats: [], exampleShape: [0], labels: [], classCount: 1) }
    #expect(shape?.isImpossible == true)
  }

  @Test(arguments: [
    "", "digit", "digits:", "mnist", "mnist:", "csv:", "csv:,label=a", "csv:a.csv,label=", "synthetic:examples",
    "synthetic:examples=x", "synthetic:examples=1", "synthetic:classes=1", "synthetic:noise=-1", "synthetic:noise=nan",
    "synthetic:seed=-1", "synthetic:sed=1", "synthetic:seed=1,seed=2", "synthetic:examples=3,classes=4", "synthetic:,",
  ])
  func senselessSpecificationsAreRefused(_ specification: String) {
    let error = failure { try Dataset.load(specification) }
    #expect(error?.isUnknown == true)
    #expect(error?.description.contains("mnist:DIR") == true, "the forms known are listed")
  }

  @Test func missingFilesAreNamed() {
    for specification in ["mnist:/no/such/folder", "csv:/no/such/folder/table.csv"] {
      let error = failure { try Dataset.load(specification) }
      #expect(error?.isMissing == true)
      #expect(error?.description.contains("/no/such/folder") == true)
    }
    #expect(failure { try Dataset.load("csv:/") }?.isMissing == true)
  }

  @Test func everyListedFormIsUnderstood() {
    #expect(Dataset.catalogue.map { $0.form.prefix(while: \.isLetter) } == ["digits", "mnist", "cifar", "cifar", "text", "tokens", "csv", "synthetic"])
  }

  @Test func syntheticNameSpellsOutEveryOption() throws {
    let plain = try Dataset.load("synthetic")
    #expect(plain.name == "synthetic:examples=2000,features=20,classes=4,noise=1,seed=1")
    for specification in ["synthetic:", "synthetic:seed=1", plain.name] {
      #expect(try Dataset.load(specification).fingerprint == plain.fingerprint)
    }
    let other = try Dataset.load("synthetic:noise=0.5,seed=2")
    #expect(other.name == "synthetic:examples=2000,features=20,classes=4,noise=0.5,seed=2")
    #expect(other.fingerprint != plain.fingerprint)
  }

  /// Within a class the standard deviation of features is the noise, and the means of classes are about 2√2 apart.
  @Test func syntheticCloudsAreAsDocumented() throws {
    let features = 50
    let data = try Dataset.load("synthetic:examples=4000,features=50,classes=2,noise=0.5")
    #expect(data.training.count == 4000)
    #expect(data.test.count == 1000)
    #expect(data.exampleShape == [features])
    let rows = try gathered(Array(0..<4000), of: data.training)
    var means = [[Double]](repeating: [Double](repeating: 0, count: features), count: 2)
    for row in 0..<4000 {
      for column in 0..<features {
        means[Int(rows.labels[row])][column] += Double(rows.features[row * features + column]) / 2000
      }
    }
    var variance = 0.0
    for row in 0..<4000 {
      for column in 0..<features {
        let difference = Double(rows.features[row * features + column]) - means[Int(rows.labels[row])][column]
        variance += difference * difference / Double(4000 * features)
      }
    }
    let distance = zip(means[0], means[1]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
    #expect(abs(variance.squareRoot() - 0.5) < 0.005)
    #expect(abs(distance - 8.0.squareRoot()) < 0.7)
  }

  @Test func syntheticDataLargerThanMemoryAreRefused() {
    let error = failure { try Dataset.load("synthetic:examples=2000000000,features=2000000000") }
    #expect(error?.isImpossible == true)
  }
}
