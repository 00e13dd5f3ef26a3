import Tensors
import Testing

@Suite struct PhiloxTests {
  /// The known answers published with Random123 (kat_vectors, philox4x32 10).
  @Test func publishedVectors() {
    let cases: [(counter: SIMD4<UInt32>, key: SIMD2<UInt32>, expected: SIMD4<UInt32>)] = [
      (.zero, .zero, [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]),
      (.init(repeating: .max), .init(repeating: .max), [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]),
      (
        [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344], [0xA409_3822, 0x299F_31D0],
        [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]
      ),
    ]
    for (counter, key, expected) in cases {
      #expect(Philox4x32(key: key).block(counter) == expected)
    }
  }

  @Test func coordinatesNeverShareNumbers() {
    var seen: Set<SIMD4<UInt32>> = []
    var drawn = 0
    for purpose in [RandomSource.Purpose.initialization, .sampling, .shuffling] {
      for seed in [0, 1, UInt64.max] {
        let source = RandomSource(seed: seed, purpose: purpose)
        for batch in [0, 1, 1 << 32, 1 << 40] {
          for example in 0..<3 {
            for element in 0..<3 {
              seen.insert(source.words(batch: batch, example: example, element: element))
              drawn += 1
            }
          }
        }
      }
    }
    #expect(seen.count == drawn)
  }

  @Test func normalsHaveMeanZeroAndTheirDeviation() throws {
    var buffer = try FloatBuffer(count: 100_003)
    let vector = buffer.mutableVector
    RandomSource(seed: 7, purpose: .initialization).fillNormal(vector, batch: 0, deviation: 2)
    var sum = 0.0, squares = 0.0, fourths = 0.0
    for i in 0..<vector.count {
      let x = Double(vector[i]) / 2
      sum += x
      squares += x * x
      fourths += x * x * x * x
    }
    let count = Double(vector.count)
    #expect(abs(sum / count) < 0.015)
    #expect(abs(squares / count - 1) < 0.02)
    #expect(abs(fourths / count - 3) < 0.15)
  }

  @Test func indicesAreUniform() {
    let source = RandomSource(seed: 3, purpose: .sampling)
    var counts = [Int](repeating: 0, count: 10)
    for batch in 1...2000 {
      for example in 0..<10 { counts[source.index(below: 10, batch: batch, example: example)] += 1 }
    }
    // Chi-square with 9 degrees of freedom is above 27.9 once in a thousand.
    let chiSquare = counts.reduce(0.0) { $0 + (Double($1) - 2000) * (Double($1) - 2000) / 2000 }
    #expect(chiSquare < 27.9)
  }
}
