import Tensors

/// A fixed population of examples (a, y) with a in the plane, from which batches are drawn with replacement.
package struct ExamplePopulation: Sendable {
  package struct Example: Sendable {
    package let a: SIMD2<Float>
    package let y: Float
  }

  package static let count = 32
  package static let batchSize = 4

  package let examples: [Example]

  /// - Parameter target: y of an example with these features and a standard normal number.
  package init(target: (_ a: SIMD2<Float>, _ noise: Float) -> Float) {
    let source = RandomSource(seed: 0, purpose: .synthesis)
    examples = (1...Self.count).map { index in
      let normals = RandomSource.normals(source.words(batch: index))
      // The second feature goes with the first, so that the mean Hessian has two directions of different steepness.
      let a = SIMD2(Float(normals.x), Float(0.5 * normals.x + 0.7 * normals.y))
      return Example(a: a, y: target(a, Float(normals.z)))
    }
  }

  /// y = a₁ − 2 a₂ and some noise.
  package static let linear = ExamplePopulation { a, noise in a.x - 2 * a.y + 0.5 * noise }

  /// y = ±1, the sign of a₁ − 2 a₂ and some noise.
  package static let classes = ExamplePopulation { a, noise in a.x - 2 * a.y + noise > 0 ? 1 : -1 }

  /// The examples of batch j, a function of seed and batch alone.
  package func forEachExample(ofBatch batch: Int, seed: Int, _ body: (Example) -> Void) {
    let words = RandomSource(seed: UInt64(seed), purpose: .sampling).words(batch: batch)
    // 32 divides 2³², so that the lowest bits are an example, each with the same probability.
    for member in 0..<Self.batchSize { body(examples[Int(words[member] % UInt32(Self.count))]) }
  }

  /// The mean of a function over the population.
  package func mean(_ function: (SIMD2<Double>, Double) -> Double) -> Double {
    examples.reduce(0) { $0 + function(SIMD2<Double>($1.a), Double($1.y)) } / Double(Self.count)
  }
}
