import Datasets
import Tensors
import Testing

@Suite struct MemoryTests {
  /// Ten examples of two features, 0 and 1, 2 and 3, …
  static let inputs = (0..<20).map { Float($0) }

  @Test func classesAreParted() throws {
    let labels = (0..<10).map { $0 % 3 }
    let data = try Dataset(inputs: Self.inputs, shape: [2], labels: labels)
    #expect(data.training.count == 8 && data.test.count == 2 && data.classCount == 3 && data.outputCount == 3)
    var seen: [Int] = []
    for examples in [data.training, data.test] {
      let rows = try gathered(Array(0..<examples.count), of: examples)
      let numbers = (0..<examples.count).map { Int(rows.features[2 * $0]) / 2 }
      #expect(numbers == numbers.sorted(), "the order stays")
      for (row, number) in numbers.enumerated() {
        #expect(rows.features[2 * row + 1] == Float(2 * number + 1) && rows.labels[row] == Int32(number % 3))
      }
      seen += numbers
    }
    #expect(seen.sorted() == Array(0..<10))
    #expect(try Dataset(name: "other", inputs: Self.inputs, shape: [2], labels: labels).fingerprint == data.fingerprint)
    #expect(try Dataset(inputs: Self.inputs, shape: [2], labels: labels, classCount: 4).fingerprint != data.fingerprint)
  }

  /// The test split has the given fraction of the examples, and each example is in one of the splits.
  @Test(arguments: [(0.01, 1), (0.2, 2), (0.5, 5), (0.99, 9)])
  func aFractionIsTested(fraction: Double, count: Int) throws {
    let values = (0..<10).map { Float($0) }
    let data = try Dataset(inputs: Self.inputs, shape: [2, 1, 1], values: values, testFraction: fraction)
    #expect(data.test.count == count && data.training.count == 10 - count)
    #expect((data.training.values + data.test.values).sorted() == values)
  }

  @Test func valuesOfAnyShape() throws {
    let values = (0..<60).map { Float($0) }
    let data = try Dataset(inputs: Self.inputs, shape: [2], values: values, targetShape: [3, 2])
    #expect(data.targetShape == [3, 2] && data.outputCount == 6 && data.training.targetCount == 6)
    let row = try gathered([3], of: data.training)
    let number = Int(row.features[0]) / 2
    #expect(row.values == Array(values[6 * number..<6 * number + 6]))
    #expect(data.byteCount == 4 * (20 + 60))
    let labels = try Dataset(inputs: Self.inputs, shape: [2], labels: (0..<20).map { $0 % 2 }, targetShape: [2])
    #expect(try gathered([0], of: labels.test).labels == [0, 1])
  }

  @Test func fingerprintCoversTargets() throws {
    let values = (0..<20).map { Float($0) }
    func fingerprint(_ values: [Float], shape: [Int] = [2]) throws -> Digest {
      try Dataset(inputs: Self.inputs, shape: [2], values: values, targetShape: shape).fingerprint
    }
    var changed = values
    changed[19] = 18.5
    let labels = try Dataset(inputs: Self.inputs, shape: [2], labels: (0..<20).map { $0 % 2 }, targetShape: [2])
    let flat = try Dataset(inputs: Self.inputs, shape: [2], labels: (0..<20).map { $0 % 2 }, targetShape: [2, 1])
    let all = [
      try fingerprint(values), try fingerprint(changed), try fingerprint(values, shape: [1, 2]),
      try fingerprint(values.map { -$0 }), labels.fingerprint, flat.fingerprint,
    ]
    #expect(Set(all).count == all.count)
    #expect(try fingerprint(values) == all[0])
  }

  @Test func whatDoesNotGoTogetherIsRefused() {
    let cases: [() throws -> Dataset] = [
      { try Dataset(inputs: Self.inputs, shape: [3], labels: [0, 1]) },
      { try Dataset(inputs: Self.inputs, shape: [2], labels: [0, 1]) },
      { try Dataset(inputs: Self.inputs, shape: [2], labels: Array(repeating: -1, count: 10)) },
      { try Dataset(inputs: Self.inputs, shape: [2], labels: Array(repeating: 5, count: 10), classCount: 5) },
      { try Dataset(inputs: Self.inputs, shape: [2], labels: Array(repeating: .max, count: 10)) },
      { try Dataset(inputs: Self.inputs, shape: [], labels: []) },
      { try Dataset(inputs: Self.inputs, shape: [0], labels: []) },
      { try Dataset(inputs: Self.inputs, shape: [2], values: Array(repeating: 1, count: 10), targetShape: [0]) },
      { try Dataset(inputs: Self.inputs, shape: [2], values: Array(repeating: .nan, count: 10)) },
      { try Dataset(inputs: [1, .infinity], shape: [1], values: [1, 2]) },
      { try Dataset(inputs: [1], shape: [1], values: [1]) },
      { try Dataset(inputs: [], shape: [1], values: []) },
      { try Dataset(inputs: Self.inputs, shape: [2], values: Array(repeating: 1, count: 10), testFraction: 0) },
      { try Dataset(inputs: Self.inputs, shape: [2], values: Array(repeating: 1, count: 10), testFraction: 1) },
      { try Dataset(inputs: Self.inputs, shape: [2], values: Array(repeating: 1, count: 10), testFraction: .nan) },
      { try Dataset(inputs: Self.inputs, shape: [.max, .max], values: []) },
      {
        let values = try Examples(floats: [1, 2], exampleShape: [1], values: [1, 2])
        return try Dataset(
          name: "x", training: values, test: try Examples(floats: [1], exampleShape: [1], labels: [0], classCount: 1))
      },
    ]
    for (index, make) in cases.enumerated() { #expect(failure(of: make)?.isImpossible == true, "case \(index)") }
  }
}
