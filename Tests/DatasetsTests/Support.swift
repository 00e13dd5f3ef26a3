import CZlib
import Datasets
import Foundation
import Tensors
import TestSupport
import Testing

extension TemporaryFolder {
  /// Writes `bytes` as a gzip member after those already in the file.
  func appendGzip(_ bytes: [UInt8], to name: String) throws {
    let stream = try #require(gzopen(self(name), "ab9"))
    #expect(gzwrite(stream, bytes, UInt32(bytes.count)) == bytes.count)
    #expect(gzclose(stream) == Z_OK)
  }
}

/// The error that `body` throws. The test fails if it throws none.
func failure(of body: () throws -> some Any) -> DatasetError? {
  #expect(throws: DatasetError.self) { _ = try body() }
}

extension DatasetError {
  var place: Place? {
    if case .damaged(_, let place, _, _) = self { place } else { nil }
  }

  var isMissing: Bool {
    if case .missing = self { true } else { false }
  }

  var isUnknown: Bool {
    if case .unknown = self { true } else { false }
  }

  var isDamaged: Bool {
    if case .damaged = self { true } else { false }
  }

  var isImpossible: Bool {
    if case .impossible = self { true } else { false }
  }
}

/// The features of the examples at `indices`, row after row, and their targets, as `gather` returns them.
func gathered(
  _ indices: [Int], of examples: Examples, augmentation: Augmentation.Batch? = nil
) throws -> (features: [Float], labels: [Int32], values: [Float]) {
  let count = indices.count * examples.featureCount
  var buffer = try FloatBuffer(count: count)
  let rows = buffer.mutableVector.matrix(rows: indices.count, columns: examples.featureCount)
  var targets = Targets(examples.targetKind, count: indices.count * examples.targetCount)
  try examples.gather(indices, into: rows, targets: &targets, augmentation: augmentation)
  return ((0..<count).map { buffer[$0] }, targets.classes, targets.values)
}

/// The distance of the sum of (observed − expected)² / expected from its mean under uniformity, in standard
/// deviations.
func chiSquareDeviation(_ counts: [Int]) -> Double {
  let expected = Double(counts.reduce(0, +)) / Double(counts.count)
  let sum = counts.reduce(0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
  let freedom = Double(counts.count - 1)
  return (sum - freedom) / (2 * freedom).squareRoot()
}
