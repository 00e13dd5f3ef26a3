import Foundation
import Tensors

/// Synthetic examples: a Gaussian cloud around the mean of each class.
///
/// With z standard normal numbers, d features, K classes and σ the noise, class k has the mean μₖ = 2 zₖ / √d, and
/// example i has the class i mod K and the features μₖ + σ zᵢ. Two means are about 2√2 apart for any number of
/// features, so at σ = 1 about 8 % of the examples of two classes are nearer to the other's mean. The test split has
/// a quarter as many examples as the training split, and at least one of each class.
struct GaussianClouds: Equatable, Sendable, CustomStringConvertible {
  private(set) var examples = 2000
  private(set) var features = 20
  private(set) var classes = 4
  private(set) var noise = 1.0
  private(set) var seed: UInt64 = 1

  /// - Parameter options: Options such as `examples=500,noise=0.5`; those left out have their defaults.
  init(options: String) throws(SpecificationProblem) {
    var seen: Set<Substring> = []
    guard !options.isEmpty else { return }
    for option in options.split(separator: ",", omittingEmptySubsequences: false) {
      let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { throw SpecificationProblem(reason: "“\(option)” is not of the form key=value") }
      guard seen.insert(parts[0]).inserted else { throw SpecificationProblem(reason: "“\(parts[0])” is given twice") }
      try set(String(parts[0]), to: String(parts[1]))
    }
    guard examples >= classes else {
      throw SpecificationProblem(reason: "\(examples) examples can't hold one of each of \(classes) classes")
    }
  }

  private mutating func set(_ key: String, to text: String) throws(SpecificationProblem) {
    func integer(_ range: ClosedRange<Int>) throws(SpecificationProblem) -> Int {
      guard let value = Int(text), range.contains(value) else {
        throw SpecificationProblem(
          reason: "\(key) must be an integer of \(range.lowerBound) to \(range.upperBound), not “\(text)”")
      }
      return value
    }
    switch key {
    case "examples": examples = try integer(2...Int(Int32.max))
    case "features": features = try integer(1...Int(Int32.max))
    case "classes": classes = try integer(2...Int(Int32.max))
    case "noise":
      guard let value = Double(text), value >= 0, value <= 1e6 else {
        throw SpecificationProblem(reason: "noise must be a number of 0 to 1e6, not “\(text)”")
      }
      noise = value
    case "seed":
      guard let value = UInt64(text) else {
        throw SpecificationProblem(reason: "seed must be an integer of 0 to \(UInt64.max), not “\(text)”")
      }
      seed = value
    default: throw SpecificationProblem(reason: "there is no option “\(key)”")
    }
  }

  var description: String {
    let shortNoise = noise == noise.rounded() ? String(Int(noise)) : String(noise)
    return "examples=\(examples),features=\(features),classes=\(classes),noise=\(shortNoise),seed=\(seed)"
  }

  /// The largest size of synthetic data in bytes, since they only serve to try things out.
  static let mostBytes = 4 << 30

  /// - Throws: `DatasetError.impossible` if the data would take more than `mostBytes` or more than half of the
  ///   memory.
  func dataset() throws(DatasetError) -> Dataset {
    let testExamples = max(examples / 4, classes)
    let name = DatasetSpecification.synthetic(self).description
    let bytes = byteCount(rows: examples + testExamples)
    guard bytes <= Self.mostBytes, SystemMemory.has(2 * bytes) else {
      throw .impossible(
        """
        \(name) takes \(bytes >> 20) MiB: made data may take \(Self.mostBytes >> 20) MiB and half of the memory there \
        is\(SystemMemory.note); ask for fewer examples, features or classes
        """)
    }
    let source = RandomSource(seed: seed, purpose: .synthesis)
    let means = (0..<classes).map { normals(source, stream: .means, row: $0) }
    return try Dataset(
      name: name,
      training: split(source, stream: .training, count: examples, means: means),
      test: split(source, stream: .test, count: testExamples, means: means))
  }

  /// The size of examples and means in bytes. No option exceeds 2³¹, so the products can't overflow in floating
  /// point.
  private func byteCount(rows: Int) -> Int {
    let examples = Double(rows) * Double(features + 1) * 4
    let means = Double(classes) * (Double(features + 3) * 8 + 48)
    return Int(min(examples + means, 0x1p62))
  }

  /// The purpose of random numbers, used as the batch coordinate of the random source.
  private enum Stream: Int {
    case means = 0
    case training = 1
    case test = 2
  }

  private func split(
    _ source: RandomSource, stream: Stream, count: Int, means: [[Double]]
  ) throws(DatasetError) -> Examples {
    let spread = 2 / Double(features).squareRoot()
    var values: [Float] = []
    values.reserveCapacity(count * features)
    for row in 0..<count {
      let mean = means[row % classes]
      for (m, z) in zip(mean, normals(source, stream: stream, row: row)) {
        values.append(Float(spread * m + noise * z))
      }
    }
    return try Examples(
      floats: values, exampleShape: [features], labels: (0..<count).map { Int32($0 % classes) }, classCount: classes)
  }

  /// One standard normal number per feature, four from each block of random words.
  private func normals(_ source: RandomSource, stream: Stream, row: Int) -> [Double] {
    var normals: [Double] = []
    normals.reserveCapacity(features + 3)
    for element in 0..<(features + 3) / 4 {
      let four = RandomSource.normals(source.words(batch: stream.rawValue, example: row, element: element))
      for lane in 0..<4 { normals.append(four[lane]) }
    }
    return Array(normals.prefix(features))
  }
}
