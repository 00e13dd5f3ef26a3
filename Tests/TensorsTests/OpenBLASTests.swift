import CKernels
import Tensors
import TestSupport
import Testing

/// OpenBLAS beside the builtin kernels: each is the other's oracle, and both are held to the definition.
@Suite struct OpenBLASTests {
  private static let blas = Products(.openBLAS)

  /// A product with everything that a call can ask for.
  private struct Case: CustomStringConvertible {
    let m, n, k: Int
    let isATransposed, isBTransposed: Bool
    let alpha, beta: Float
    let hasBias: Bool
    /// Floats between the ends of rows and the beginnings of the next.
    let gap: Int

    var description: String { "\(m) × \(n) × \(k), \(isATransposed) \(isBTransposed), α \(alpha), β \(beta), bias \(hasBias), gap \(gap)" }

    /// Small extents as often as large ones.
    init(_ number: Int) {
      var random = SplitMix(state: UInt64(number))
      func extent() -> Int { Int.random(in: 1...[4, 20, 70, 300][Int.random(in: 0..<4, using: &random)], using: &random) }
      (m, n, k) = (extent(), extent(), number % 50 == 0 ? 0 : number % 10 == 0 ? extent() * 5 : extent())
      (isATransposed, isBTransposed) = (Bool.random(using: &random), Bool.random(using: &random))
      alpha = [1, -0.05, 2].randomElement(using: &random) ?? 1
      beta = [0, 1, 0.75].randomElement(using: &random) ?? 0
      hasBias = Bool.random(using: &random)
      gap = Bool.random(using: &random) ? 0 : Int.random(in: 1...40, using: &random)
    }
  }

  private func random(_ count: Int, batch: Int) throws -> FloatBuffer {
    var buffer = try FloatBuffer(count: count)
    RandomSource(seed: 1, purpose: .initialization).fillNormal(buffer.mutableVector, batch: batch, deviation: 1)
    return buffer
  }

  /// - Parameter c: what the product is added to; not a number where β is 0, which must not be read.
  private func product(
    _ p: Case, _ a: borrowing FloatBuffer, _ b: borrowing FloatBuffer, _ c: Float, bias: borrowing FloatBuffer, by products: Products
  ) throws -> [Float] {
    func matrix(_ buffer: borrowing FloatBuffer, _ rows: Int, _ columns: Int) -> Matrix {
      buffer.vector.part(Region(offset: 0, count: rows * (columns + p.gap))).matrix(rows: rows, columns: columns + p.gap)
        .columns(0..<columns)
    }
    var result = try FloatBuffer(count: p.m * (p.n + p.gap))
    result.mutableVector.fill(c)
    let target = result.mutableVector.matrix(rows: p.m, columns: p.n + p.gap).columns(0..<p.n)
    multiply(
      p.isATransposed ? matrix(a, p.k, p.m) : matrix(a, p.m, p.k), transposed: p.isATransposed,
      by: p.isBTransposed ? matrix(b, p.n, p.k) : matrix(b, p.k, p.n), byTransposed: p.isBTransposed, into: target,
      alpha: p.alpha, beta: p.beta, bias: p.hasBias ? bias.vector : nil, products: products)
    for row in 0..<p.m {
      for column in p.n..<p.n + p.gap {
        let untouched = result[row * (p.n + p.gap) + column]
        #expect(untouched.bitPattern == c.bitPattern, "\(p): what lies between rows")
      }
    }
    return (0..<p.m * p.n).map { result[$0 / p.n * (p.n + p.gap) + $0 % p.n] }
  }

  /// Each sum may be off by a rounding for each of its terms, and one for α, bias and β · c each.
  @Test(arguments: 0..<8) func productsAgreeAtEveryLevel(part: Int) throws {
    for number in part * 50..<(part + 1) * 50 {
      let p = Case(number)
      let a = try random(max(1, p.isATransposed ? p.k * (p.m + p.gap) : p.m * (p.k + p.gap)), batch: 3 * number)
      let b = try random(max(1, p.isBTransposed ? p.n * (p.k + p.gap) : p.k * (p.n + p.gap)), batch: 3 * number + 1)
      let bias = try random(p.n, batch: 3 * number + 2)
      let c: Float = p.beta == 0 ? .nan : 0.7
      let found = try product(p, a, b, c, bias: bias, by: Self.blas)
      var (exact, bounds) = ([Double](), [Double]())
      for i in 0..<p.m {
        for j in 0..<p.n {
          var (sum, size) = (0.0, 0.0)
          for l in 0..<p.k {
            let x = Double(a[p.isATransposed ? l * (p.m + p.gap) + i : i * (p.k + p.gap) + l])
            let y = Double(b[p.isBTransposed ? j * (p.k + p.gap) + l : l * (p.n + p.gap) + j])
            sum += x * y
            size += abs(x * y)
          }
          let others = [p.hasBias ? Double(bias[j]) : 0, p.beta == 0 ? 0 : Double(p.beta * c)]
          exact.append(Double(p.alpha) * sum + others.reduce(0, +))
          bounds.append(0x1p-24 * Double(p.k + 4) * (abs(Double(p.alpha)) * size + others.reduce(0) { $0 + abs($1) }))
        }
      }
      func check(_ values: [Float], _ what: String) {
        let worst = values.indices.first { !(abs(Double(values[$0]) - exact[$0]) <= bounds[$0]) }
        #expect(worst == nil, "\(what): \(p)")
      }
      check(found, OpenBLAS.identity)
      try atEveryLevel { level in check(try product(p, a, b, c, bias: bias, by: Products()), "\(level)") }
    }
  }

  /// A product is the same bits wherever its operands lie, on whatever thread, and however often it is computed.
  @Test func bitsFollowFromTheOperands() async throws {
    for number in 0..<60 {
      let p = Case(number)
      let (aCount, bCount) = (max(1, p.m * p.k), max(1, p.k * p.n))
      @Sendable func bits(shift: Int) throws -> [UInt32] {
        let a = try random(aCount, batch: 1), b = try random(bCount, batch: 2)
        // The same numbers at another place.
        var x = try FloatBuffer(count: aCount + shift), y = try FloatBuffer(count: bCount + 3 * shift)
        for i in 0..<aCount { x[shift + i] = a[i] }
        for i in 0..<bCount { y[3 * shift + i] = b[i] }
        var c = try FloatBuffer(count: p.m * p.n + shift)
        func part(_ buffer: borrowing FloatBuffer, _ offset: Int, _ rows: Int, _ columns: Int) -> Matrix {
          buffer.vector.part(Region(offset: offset, count: rows * columns)).matrix(rows: rows, columns: columns)
        }
        multiply(
          p.isATransposed ? part(x, shift, p.k, p.m) : part(x, shift, p.m, p.k), transposed: p.isATransposed,
          by: p.isBTransposed ? part(y, 3 * shift, p.n, p.k) : part(y, 3 * shift, p.k, p.n), byTransposed: p.isBTransposed,
          into: c.mutableVector.part(Region(offset: shift, count: p.m * p.n)).matrix(rows: p.m, columns: p.n), alpha: p.alpha,
          products: Self.blas)
        return (0..<p.m * p.n).map { c[shift + $0].bitPattern }
      }
      let expected = try bits(shift: 0)
      try await withThrowingTaskGroup(of: [UInt32].self) { group in
        for shift in [0, 1, 5, 16] { group.addTask { try bits(shift: shift) } }
        for try await found in group { #expect(found == expected, "\(p)") }
      }
    }
  }

  /// More rows than are given to the library at once.
  @Test(arguments: [false, true]) func manyRows(isTransposed: Bool) throws {
    let (m, n, k) = (2500, 9, 7)
    let a = try random(m * k, batch: 1), b = try random(k * n, batch: 2)
    func result(_ products: Products) throws -> [Float] {
      var c = try FloatBuffer(count: m * n)
      let x = isTransposed ? a.vector.matrix(rows: k, columns: m) : a.vector.matrix(rows: m, columns: k)
      multiply(
        x, transposed: isTransposed, by: b.vector.matrix(rows: k, columns: n), into: c.mutableVector.matrix(rows: m, columns: n),
        products: products)
      return (0..<c.count).map { c[$0] }
    }
    let difference = try zip(result(Self.blas), result(Products())).map { abs($0 - $1) }.max() ?? .infinity
    #expect(difference < 1e-5)
  }

  /// Convolutions that are products, those by Winograd's method, and others.
  @Test(arguments: [(1, 1, 0, 24), (3, 1, 1, 32), (3, 1, 0, 16), (3, 2, 1, 20), (1, 2, 0, 8), (1, 1, 1, 8)])
  func convolutions(size: Int, stride: Int, padding: Int, channels: Int) throws {
    let window = try #require(ImageWindow(imageShape: [13, 12, 16], size: size, stride: stride, padding: padding))
    let (examples, alpha) = (5, Float(-0.1))
    let images = try random(examples * 13 * 12 * 16, batch: 1), weights = try random(window.count * channels, batch: 2)
    let bias = try random(channels, batch: 3), gradient = try random(examples * window.placeCount * channels, batch: 4)
    func results(_ products: Products) throws -> [[Float]] {
      var scratch = try FloatBuffer(count: window.convolutionScratchCount(channels: channels))
      var output = try FloatBuffer(count: gradient.count), toImages = try FloatBuffer(count: images.count)
      var toWeights = try random(weights.count, batch: 5)
      let x = images.vector.matrix(rows: examples, columns: images.count / examples)
      let w = weights.vector.matrix(rows: window.count, columns: channels)
      let dy = gradient.vector.matrix(rows: examples, columns: gradient.count / examples)
      window.convolve(
        x, weights: w, bias: bias.vector, into: output.mutableVector.matrix(rows: examples, columns: output.count / examples),
        scratch: scratch.mutableVector, products: products)
      window.convolutionGradient(
        dy, weights: w, into: toImages.mutableVector.matrix(rows: examples, columns: toImages.count / examples),
        scratch: scratch.mutableVector, products: products)
      window.convolutionWeightsGradient(
        x, outputGradient: dy, into: toWeights.mutableVector.matrix(rows: window.count, columns: channels), alpha: alpha, beta: 1,
        scratch: scratch.mutableVector, products: products)
      return [(0..<output.count).map { output[$0] }, (0..<toImages.count).map { toImages[$0] }, (0..<toWeights.count).map { toWeights[$0] }]
    }
    let (blas, builtin) = (try results(Self.blas), try results(Products()))
    for (a, b) in zip(blas, builtin) {
      let largest = b.map(abs).max() ?? 0
      let difference = zip(a, b).map { abs($0 - $1) }.max() ?? .infinity
      #expect(difference <= 2e-5 * largest)
    }
    // Where no product of matrices is made, the kernels are the same.
    if stride == 2 || padding == 1 && size == 1 { #expect(blas == builtin) }
  }

  @Test func versionAndCoreAreNamed() {
    #expect(OpenBLAS.identity.wholeMatch(of: /OpenBLAS \d+\.\d+\S* \w+/) != nil, "\(OpenBLAS.identity)")
  }

  @Test func threadsAreOneWithOpenBLAS() {
    #expect(Products(.openBLAS, threads: 4).threads == 1 && Products(threads: 4).threads == 4)
  }
}
