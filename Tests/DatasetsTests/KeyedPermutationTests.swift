import Tensors
import Testing

@Suite struct KeyedPermutationTests {
  @Test(arguments: [1, 2, 3, 100, 255, 256, 257, 1000, 1_000_000_000]) func everyValueHasItsIndex(count: Int) {
    let permutation = KeyedPermutation(count: count, source: RandomSource(seed: 8, purpose: .ordering), index: 1)
    for index in Set((0..<min(count, 300)).map { $0 * max(1, count / 300) % count }) { #expect(permutation.index(of: permutation(index)) == index) }
  }

  @Test func permutes() {
    for count in Array(1...300) + [1437, 4096, 4097, 60_000] {
      for index in 0..<3 {
        let permutation = KeyedPermutation(
          count: count, source: RandomSource(seed: 3, purpose: .shuffling), index: index)
        var seen = [Bool](repeating: false, count: count)
        for value in 0..<count { seen[permutation(value)] = true }
        #expect(!seen.contains(false), "count \(count)")
      }
    }
  }

  @Test func permutesWithoutATable() {
    let count = 1 << 40 + 1
    let permutation = KeyedPermutation(count: count, source: RandomSource(seed: 3, purpose: .shuffling), index: 0)
    let values = Set((count - 1000..<count).map { permutation($0) })
    #expect(values.count == 1000)
    #expect(values.allSatisfy { $0 >= 0 && $0 < count })
    #expect(values.max() ?? 0 > count / 2)
  }

  /// Over seeds and over epochs, each pair of different values occurs equally often at two places. The seeds are
  /// fixed, so a deviation of five is not bad luck.
  @Test(arguments: [2, 3, 5, 8, 13, 20])
  func pairsAreUniform(count: Int) {
    for overSeeds in [true, false] {
      var pairs = [Int](repeating: 0, count: count * count)
      for trial in 0..<50_000 {
        let source = RandomSource(seed: overSeeds ? UInt64(trial) : 11, purpose: .shuffling)
        let permutation = KeyedPermutation(count: count, source: source, index: overSeeds ? 0 : trial)
        pairs[permutation(0) * count + permutation(count - 1)] += 1
      }
      let different = pairs.indices.filter { $0 / count != $0 % count }.map { pairs[$0] }
      #expect(different.reduce(0, +) == 50_000)
      #expect(abs(chiSquareDeviation(different)) < 5, "over seeds: \(overSeeds)")
    }
  }

  /// Within one permutation, neighbours are mapped to places at every distance from each other.
  @Test func neighboursPart() {
    let count = 60_000
    let permutation = KeyedPermutation(count: count, source: RandomSource(seed: 5, purpose: .shuffling), index: 2)
    var distances = [Int](repeating: 0, count: 100)
    for value in 0..<count - 1 {
      let distance = (permutation(value + 1) - permutation(value) + count) % count
      distances[distance * distances.count / count] += 1
    }
    #expect(abs(chiSquareDeviation(distances)) < 5)
  }
}
