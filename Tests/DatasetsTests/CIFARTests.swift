import Datasets
import Foundation
import TestSupport
import Testing

@Suite struct CIFARTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A record in which each byte at (channel, y, x) encodes its position and the number of the record.
  func record(_ labels: [UInt8], number: Int) -> [UInt8] {
    labels + (0..<3072).map { UInt8(truncatingIfNeeded: $0 / 1024 * 80 + $0 % 1024 / 32 + $0 % 32 * 3 + number) }
  }

  func pixel(_ features: [Float], y: Int, x: Int, channel: Int) -> Int {
    Int((features[(y * 32 + x) * 3 + channel] * 255).rounded())
  }

  @Test func readsAllTrainingFilesInNumericOrder() throws {
    try folder.write(record([3], number: 1) + record([4], number: 2), to: "data_batch_2.bin")
    try folder.appendGzip(record([5], number: 3), to: "data_batch_10.bin.gz")
    try folder.write(record([6], number: 4), to: "data_batch_1.bin")
    try folder.appendGzip(record([9], number: 5), to: "test_batch.bin.gz")
    let data = try Dataset.load("cifar10:\(folder.path)")
    #expect(data.exampleShape == [32, 32, 3] && data.classCount == 10)
    #expect(data.training.labels == [6, 3, 4, 5] && data.test.labels == [9])
    let features = try gathered([2], of: data.training).features
    for (y, x, channel) in [(0, 0, 0), (31, 31, 2), (7, 20, 1), (20, 7, 2)] {
      #expect(pixel(features, y: y, x: x, channel: channel) == (channel * 80 + y + x * 3 + 2) % 256)
    }
  }

  @Test func readsTheFineLabelsOfCIFAR100FromItsOwnFolder() throws {
    let inner = folder("cifar-100-binary")
    try FileManager.default.createDirectory(atPath: inner, withIntermediateDirectories: true)
    try Data(record([1, 99], number: 0)).write(to: URL(fileURLWithPath: "\(inner)/train.bin"))
    try Data(record([0, 42], number: 7)).write(to: URL(fileURLWithPath: "\(inner)/test.bin"))
    let data = try Dataset.load("cifar100:\(folder.path)")
    #expect(data.classCount == 100 && data.training.labels == [99] && data.test.labels == [42])
    #expect(try pixel(gathered([0], of: data.test).features, y: 2, x: 1, channel: 1) == 80 + 2 + 3 + 7)
  }

  @Test func namesWhatIsMissingOrDamaged() throws {
    func load() throws -> Dataset { try Dataset.load("cifar10:\(folder.path)") }
    #expect(failure(of: load)?.isMissing == true)
    try folder.write(record([3], number: 1), to: "data_batch_1.bin")
    #expect(failure(of: load)?.isMissing == true)
    for bad in [[], Array(record([3], number: 1).dropLast()), record([10], number: 1)] as [[UInt8]] {
      try folder.write(bad, to: "test_batch.bin")
      let error = try #require(failure(of: load))
      #expect(error.isDamaged && "\(error)".contains("test_batch.bin"))
    }
    #expect(failure { try Dataset.load("cifar10:") }?.isUnknown == true)
    #expect(failure { try Dataset.load("cifar100:/nowhere") }?.isMissing == true)
  }

  static let real = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/data").path

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "\(real)/cifar10"), "needs CIFAR-10 in ../shared/data"))
  func realImages() throws {
    let data = try Dataset.load("cifar10:\(Self.real)/cifar10")
    #expect(data.training.count == 10_000 && data.test.count == 2_000)
    // The brightness of CIFAR-10's training images is 0.491, 0.482 and 0.447 on average.
    let features = try gathered(Array(0..<1000), of: data.training).features
    for (channel, mean) in [0.491, 0.482, 0.447].enumerated() {
      let sum = stride(from: channel, to: features.count, by: 3).reduce(0.0) { $0 + Double(features[$1]) }
      #expect(abs(sum / Double(features.count / 3) - mean) < 0.02)
    }
  }
}
