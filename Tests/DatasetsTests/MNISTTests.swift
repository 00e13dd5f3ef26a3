import Datasets
import Foundation
import TestSupport
import Testing

@Suite struct MNISTTests {
  let folder: TemporaryFolder

  /// Six training images and two test images of 2 × 3 pixels.
  init() throws {
    folder = try TemporaryFolder()
    try folder.write(idx([6, 2, 3], Array(0..<36)), to: Self.trainingImages)
    try folder.write(idx([6], [0, 1, 2, 3, 4, 9]), to: Self.trainingLabels)
    try folder.write(idx([2, 2, 3], Array(100..<112)), to: Self.testImages)
    try folder.write(idx([2], [7, 8]), to: Self.testLabels)
  }

  static let trainingImages = "train-images-idx3-ubyte"
  static let trainingLabels = "train-labels-idx1-ubyte"
  static let testImages = "t10k-images-idx3-ubyte"
  static let testLabels = "t10k-labels-idx1-ubyte"

  /// The bytes of an IDX file.
  func idx(_ shape: [UInt32], _ elements: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = [0, 0, 8, UInt8(shape.count)]
    for extent in shape { bytes += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: extent >> $0) } }
    return bytes + elements
  }

  func load() throws(DatasetError) -> Dataset { try Dataset.load("mnist:\(folder.path)") }

  /// Replaces a plain file by the gzip members of `pieces`.
  func compress(_ name: String, pieces: [[UInt8]]) throws {
    try FileManager.default.removeItem(atPath: folder(name))
    for piece in pieces { try folder.appendGzip(piece, to: "\(name).gz") }
  }

  @Test func readsPlainFiles() throws {
    let data = try load()
    #expect(data.exampleShape == [2, 3, 1])
    #expect(data.classCount == 10)
    #expect(data.training.labels == [0, 1, 2, 3, 4, 9])
    let rows = try gathered([1], of: data.test)
    #expect(rows.features == (106..<112).map { Float($0) / 255 })
    #expect(rows.labels == [8])
    #expect(try Dataset.load("mnist:\(folder.path)/").name == data.name)
  }

  @Test func readsGzipOfOneAndOfSeveralMembers() throws {
    let plain = try load().fingerprint
    let images = try folder.read(Self.trainingImages)
    try compress(Self.trainingImages, pieces: [Array(images[..<20]), Array(images[20...])])
    try compress(Self.testLabels, pieces: [try folder.read(Self.testLabels)])
    #expect(try load().fingerprint == plain)
  }

  @Test func namesAMissingFile() throws {
    try FileManager.default.removeItem(atPath: folder(Self.testLabels))
    let error = failure { try load() }
    #expect(error?.isMissing == true)
    #expect(error?.description.contains(Self.testLabels) == true)
  }

  @Test func refusesWrongLengths() throws {
    let images = try folder.read(Self.trainingImages)
    for length in [0, 3, 10, 15, images.count - 1] {
      try folder.write(Array(images.prefix(length)), to: Self.trainingImages)
      #expect(failure { try load() }?.description.contains("ends within") == true)
    }
    try folder.write(images + [0], to: Self.trainingImages)
    #expect(failure { try load() }?.place == .byte(images.count))
  }

  @Test func refusesHeadersThatPromiseTooMuch() throws {
    try folder.write(idx([UInt32.max, UInt32.max, UInt32.max], [1]), to: Self.trainingImages)
    #expect(failure { try load() }?.place == .byte(4))
    try folder.write(idx([UInt32.max, 2, 1], [1]), to: Self.trainingImages)
    #expect(failure { try load() }?.place == .byte(16))
    try folder.write(idx([0, 2, 3], []), to: Self.trainingImages)
    #expect(failure { try load() }?.place == .byte(4))
  }

  @Test func refusesAnotherMagicNumber() throws {
    try folder.write(try folder.read(Self.trainingLabels), to: Self.trainingImages)
    #expect(failure { try load() }?.place == .byte(0))
  }

  @Test func refusesCountsAndShapesThatDiffer() throws {
    try folder.write(idx([1], [7]), to: Self.testLabels)
    #expect(failure { try load() }?.description.contains("1 labels, but 2 images") == true)
    try folder.write(idx([2], [7, 8]), to: Self.testLabels)
    try folder.write(idx([2, 3, 2], Array(0..<12)), to: Self.testImages)
    #expect(failure { try load() }?.description.contains("[3, 2, 1]") == true)
  }

  @Test func namesALabelOutOfRange() throws {
    try folder.write(idx([6], [0, 1, 2, 3, 10, 5]), to: Self.trainingLabels)
    #expect(failure { try load() }?.place == .index(4))
  }

  @Test func findsDamagedGzip() throws {
    try compress(Self.trainingImages, pieces: [try folder.read(Self.trainingImages)])
    let name = "\(Self.trainingImages).gz"
    let sound = try folder.read(name)
    // The last eight bytes are the checksum and the length.
    for position in [sound.count - 8, sound.count - 4, 12] {
      var bytes = sound
      bytes[position] ^= 0x55
      try folder.write(bytes, to: name)
      #expect(failure { try load() }?.isDamaged == true, "byte \(position)")
    }
    for cut in [1, 4, 8, 12] {
      try folder.write(sound.dropLast(cut), to: name)
      #expect(failure { try load() }?.description.contains("truncated") == true, "\(cut) bytes less")
    }
  }

  /// Any damage leads to a typed error or to a valid data set.
  @Test func neverFailsOtherwise() throws {
    var refused = 0
    let plain = try folder.read(Self.testLabels)
    for bytes in damagedCopies(of: plain, count: 300) {
      try folder.write(bytes, to: Self.testLabels)
      do { _ = try load() } catch { refused += 1 }
    }
    #expect(refused > 150)
    try folder.write(plain, to: Self.testLabels)

    try compress(Self.testImages, pieces: [try folder.read(Self.testImages)])
    let name = "\(Self.testImages).gz"
    for bytes in damagedCopies(of: try folder.read(name), count: 300) {
      try folder.write(bytes, to: name)
      do { _ = try load() } catch { refused += 1 }
    }
    #expect(refused > 300)
  }

  /// The package's folder and the data beside it.
  static let realFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/data/mnist").path

  @Test(.enabled(if: FileManager.default.fileExists(atPath: realFolder), "there is no ../shared/data/mnist"))
  func readsTheRealOne() throws {
    let mnist = try Dataset.load("mnist:\(Self.realFolder)")
    #expect(mnist.exampleShape == [28, 28, 1])
    #expect(mnist.training.count == 60_000)
    #expect(mnist.test.count == 10_000)
    #expect(mnist.training.labels.prefix(5) == [5, 0, 4, 1, 9])
    var counts = [Int](repeating: 0, count: 10)
    for label in mnist.training.labels { counts[Int(label)] += 1 }
    #expect(counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
  }
}
