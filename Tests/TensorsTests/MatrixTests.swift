import CKernels
import Tensors
import Testing

/// Matrix products and convolutions against their definitions in double precision, at every level of SIMD this machine has.
@Suite struct MatrixTests {
  private static let levels = ["avx512", "avx2", "sse2", "neon"]

  /// Runs `body` on this thread at a level of SIMD, unless the machine lacks it.
  private func at(_ level: String, _ body: () throws -> Void) rethrows {
    guard ck_set_level(level) else { return }
    defer { ck_set_level(nil) }
    try body()
  }

  private func random(_ count: Int, batch: Int) throws -> FloatBuffer {
    var buffer = try FloatBuffer(count: count)
    RandomSource(seed: 1, purpose: .initialization).fillNormal(buffer.mutableVector, batch: batch, deviation: 1)
    return buffer
  }

  @Test func everyMachineHasALevel() {
    #expect(Self.levels.contains(SIMDLevel.current.description))
    #expect(SIMDLevel.available.first == .current && Set(SIMDLevel.available.map(\.description)).isSubset(of: Self.levels))
    #expect(!ck_set_level("mmx") && !SIMDLevel.use("mmx") && SIMDLevel.available.first == .current)
  }

  /// Sizes below, at and above those of tiles, panels and blocks.
  @Test(arguments: levels, [(false, false), (true, false), (false, true), (true, true)])
  func products(level: String, transposed: (Bool, Bool)) throws {
    let sizes = [
      (1, 1, 1), (2, 3, 5), (6, 64, 7), (7, 65, 129), (13, 10, 128), (31, 16, 17), (8, 128, 600), (25, 70, 1030), (64, 32, 64),
      (3, 5, 0),
    ]
    try at(level) {
      for (m, n, k) in sizes {
        let a = try random(m * k, batch: 1)
        let b = try random(n * k, batch: 2)
        let c = try random(m * n, batch: 3)
        let bias = try random(n, batch: 4)
        for (alpha, beta, hasBias) in [(Float(1), Float(0), true), (-0.5, 1, false), (2, 0.25, true)] {
          var result = try FloatBuffer(count: m * n)
          result.mutableVector.copy(from: c.vector)
          if beta == 0 { result.mutableVector.fill(.nan) }
          multiply(
            a.vector.matrix(rows: transposed.0 ? k : m, columns: transposed.0 ? m : k), transposed: transposed.0,
            by: b.vector.matrix(rows: transposed.1 ? n : k, columns: transposed.1 ? k : n), byTransposed: transposed.1,
            into: result.mutableVector.matrix(rows: m, columns: n), alpha: alpha, beta: beta, bias: hasBias ? bias.vector : nil)
          for i in 0..<m {
            for j in 0..<n {
              var sum = 0.0
              for l in 0..<k {
                let x = transposed.0 ? a[l * m + i] : a[i * k + l]
                sum += Double(x) * Double(transposed.1 ? b[j * k + l] : b[l * n + j])
              }
              var expected = Double(alpha) * sum
              if beta != 0 { expected += Double(beta * c[i * n + j]) }
              if hasBias { expected += Double(bias[j]) }
              #expect(abs(Double(result[i * n + j]) - expected) < 2e-5 * (1 + Double(k).squareRoot()))
            }
          }
        }
      }
    }
  }

  /// The bits of a row depend on no other row.
  /// Of a transposed matrix, the rows may come in parts of a multiple of `MatrixKernels.sumRows`: whatever the shapes, the bits are the
  /// same, as they are for sums of columns.
  @Test(arguments: levels) func rowsInPartsGiveTheSameBits(level: String) throws {
    let k = 3 * MatrixKernels.sumRows + 44
    try at(level) {
      for m in [1, 2, 5, 16, 33] {
        for n in [1, 3, 16, 65] {
          let a = try random(k * m, batch: 1)
          let b = try random(k * n, batch: 2)
          let rows = (a: a.vector.matrix(rows: k, columns: m), b: b.vector.matrix(rows: k, columns: n))
          var whole = try random(m * n, batch: 3)
          var sums = try random(n, batch: 4)
          var partial = try random(m * n, batch: 3)
          var partialSums = try random(n, batch: 4)
          multiply(
            rows.a, transposed: true, by: rows.b, into: whole.mutableVector.matrix(rows: m, columns: n), alpha: -0.3, beta: 0.9)
          rows.b.addColumnSums(scaledBy: -0.3, to: sums.mutableVector, keeping: 0.9)
          for (part, range) in [0..<MatrixKernels.sumRows, MatrixKernels.sumRows..<3 * MatrixKernels.sumRows, 3 * MatrixKernels.sumRows..<k].enumerated() {
            let beta: Float = part == 0 ? 0.9 : 1
            multiply(
              rows.a.rows(range), transposed: true, by: rows.b.rows(range),
              into: partial.mutableVector.matrix(rows: m, columns: n), alpha: -0.3, beta: beta)
            rows.b.rows(range).addColumnSums(scaledBy: -0.3, to: partialSums.mutableVector, keeping: beta)
          }
          for index in 0..<m * n { #expect(partial[index].bitPattern == whole[index].bitPattern, "\(m) × \(n)") }
          for index in 0..<n { #expect(partialSums[index].bitPattern == sums[index].bitPattern) }
        }
      }
    }
  }

  @Test(arguments: [false, true])
  func rowsAreIndependent(transposed: Bool) throws {
    let (m, n, k) = (37, 70, 700)
    let a = try random(m * k, batch: 1)
    let b = try random(n * k, batch: 2)
    var all = try FloatBuffer(count: m * n)
    let matrix = a.vector.matrix(rows: transposed ? k : m, columns: transposed ? m : k)
    let right = b.vector.matrix(rows: k, columns: n)
    multiply(matrix, transposed: transposed, by: right, into: all.mutableVector.matrix(rows: m, columns: n))
    for rows in [0..<1, 3..<8, 8..<37] {
      var part = try FloatBuffer(count: rows.count * n)
      multiply(
        transposed ? matrix.columns(rows) : matrix.rows(rows), transposed: transposed, by: right,
        into: part.mutableVector.matrix(rows: rows.count, columns: n))
      for index in 0..<part.count { #expect(part[index] == all[rows.lowerBound * n + index]) }
    }
  }

  /// Zeros in a whole batch are skipped, which changes no bit.
  @Test(arguments: [false, true])
  func zerosChangeNothing(transposed: Bool) throws {
    let (rows, inner, columns) = (8, 600, 70)
    var x = try random(rows * inner, batch: 1)
    for index in 0..<x.count where index % inner % 3 != 0 { x[index] = index % 2 == 0 ? 0 : -0.0 }
    let y = try random((transposed ? rows : inner) * columns, batch: 2)
    let matrix = x.vector.matrix(rows: rows, columns: inner)
    let right = y.vector.matrix(rows: transposed ? rows : inner, columns: columns)
    let m = transposed ? inner : rows
    var result = try random(m * columns, batch: 3)
    var expected = try random(m * columns, batch: 3)
    multiply(matrix, transposed: transposed, by: right, into: result.mutableVector.matrix(rows: m, columns: columns), beta: 1)
    // One row at a time nothing is zero in all rows but in it alone; a row that is added to in vain stays.
    for row in 0..<m {
      let target = expected.mutableVector.matrix(rows: m, columns: columns).rows(row..<row + 1)
      let source = transposed ? matrix.columns(row..<row + 1) : matrix.rows(row..<row + 1)
      multiply(source, transposed: transposed, by: right, into: target, beta: 1)
    }
    for index in 0..<result.count { #expect(result[index] == expected[index]) }
  }

  /// Threads share the work without changing a bit.
  @Test func threadsChangeNothing() throws {
    let (m, n, k) = (200, 130, 260)
    let a = try random(m * k, batch: 1)
    let b = try random(k * n, batch: 2)
    let window = try #require(ImageWindow(imageShape: [16, 16, 32], size: 3, stride: 1, padding: 1))
    let images = try random(4 * 16 * 16 * 32, batch: 3)
    let weights = try random(window.count * 48, batch: 4)
    func results(threads: Int) throws -> [Float] {
      let products = Products(threads: threads)
      var product = try FloatBuffer(count: m * n)
      multiply(
        a.vector.matrix(rows: m, columns: k), by: b.vector.matrix(rows: k, columns: n),
        into: product.mutableVector.matrix(rows: m, columns: n), products: products)
      var output = try FloatBuffer(count: 4 * 16 * 16 * 48)
      var scratch = try FloatBuffer(count: window.convolutionScratchCount(channels: 48))
      var gradient = try FloatBuffer(count: images.count)
      var toWeights = try FloatBuffer(count: weights.count)
      let x = images.vector.matrix(rows: 4, columns: images.count / 4)
      let w = weights.vector.matrix(rows: window.count, columns: 48)
      let y = output.mutableVector.matrix(rows: 4, columns: output.count / 4)
      window.convolve(x, weights: w, bias: nil, into: y, scratch: scratch.mutableVector, products: products)
      window.convolutionGradient(
        y.matrix, weights: w, into: gradient.mutableVector.matrix(rows: 4, columns: gradient.count / 4),
        scratch: scratch.mutableVector, products: products)
      window.convolutionWeightsGradient(
        x, outputGradient: y.matrix, into: toWeights.mutableVector.matrix(rows: window.count, columns: 48), alpha: 1, beta: 0,
        scratch: scratch.mutableVector, products: products)
      return (0..<product.count).map { product[$0] } + (0..<output.count).map { output[$0] }
        + (0..<gradient.count).map { gradient[$0] } + (0..<toWeights.count).map { toWeights[$0] }
    }
    #expect(try results(threads: 3) == results(threads: 1))
  }

  @Test(
    arguments: levels,
    [
      ([1, 1, 1], 1, 1, 0, 1), ([5, 4, 3], 3, 1, 1, 7), ([7, 6, 2], 3, 2, 1, 65), ([4, 9, 1], 2, 3, 0, 4),
      ([3, 3, 5], 5, 1, 2, 70), ([6, 5, 520], 3, 2, 1, 17), ([6, 6, 16], 1, 2, 0, 20),
      // The last block of channels is cut into tiles of its own.
      ([3, 4, 519], 1, 1, 0, 70), ([4, 4, 520], 3, 2, 1, 70),
      // These sizes use Winograd's transforms, with tiles and blocks cut at the edges.
      ([8, 8, 16], 3, 1, 1, 32), ([13, 15, 80], 3, 1, 0, 16), ([9, 11, 32], 3, 1, 2, 144),
    ])
  func convolutions(level: String, geometry: ([Int], Int, Int, Int, Int)) throws {
    let (shape, size, stride, padding, outputs) = geometry
    let window = try #require(ImageWindow(imageShape: shape, size: size, stride: stride, padding: padding))
    let examples = 3
    let count = shape.reduce(1, *)
    let (height, width, channels) = (shape[0], shape[1], shape[2])
    let images = try random(examples * count, batch: 1)
    let weights = try random(window.count * outputs, batch: 2)
    let bias = try random(outputs, batch: 3)
    let gradient = try random(examples * window.placeCount * outputs, batch: 4)

    var expected = [Double](repeating: 0, count: gradient.count)
    var imagesGradient = [Double](repeating: 0, count: images.count)
    var weightsGradient = [Double](repeating: 0, count: weights.count)
    for place in 0..<examples * window.placeCount {
      let (example, inImage) = (place / window.placeCount, place % window.placeCount)
      for o in 0..<outputs { expected[place * outputs + o] = Double(bias[o]) }
      for tap in 0..<size * size {
        let y = inImage / window.outputWidth * stride - padding + tap / size
        let x = inImage % window.outputWidth * stride - padding + tap % size
        guard (0..<height).contains(y), (0..<width).contains(x) else { continue }
        for c in 0..<channels {
          let source = ((example * height + y) * width + x) * channels + c
          for o in 0..<outputs {
            let weight = (tap * channels + c) * outputs + o
            expected[place * outputs + o] += Double(images[source]) * Double(weights[weight])
            imagesGradient[source] += Double(gradient[place * outputs + o]) * Double(weights[weight])
            weightsGradient[weight] += Double(gradient[place * outputs + o]) * Double(images[source])
          }
        }
      }
    }

    var output = try FloatBuffer(count: expected.count)
    var scratch = try FloatBuffer(count: window.convolutionScratchCount(channels: outputs))
    scratch.mutableVector.fill(.nan)
    var toImages = try FloatBuffer(count: images.count)
    var toWeights = try random(weights.count, batch: 5)
    let old = try random(weights.count, batch: 5)
    func matrix(_ buffer: borrowing FloatBuffer, _ rows: Int) -> Matrix {
      buffer.vector.matrix(rows: rows, columns: buffer.count / rows)
    }
    func target(_ buffer: inout FloatBuffer, _ rows: Int) -> MutableMatrix {
      buffer.mutableVector.matrix(rows: rows, columns: buffer.count / rows)
    }
    at(level) {
      window.convolve(
        matrix(images, examples), weights: matrix(weights, window.count), bias: bias.vector, into: target(&output, examples),
        scratch: scratch.mutableVector)
      toImages.mutableVector.fill(.nan)
      window.convolutionGradient(
        matrix(gradient, examples), weights: matrix(weights, window.count), into: target(&toImages, examples),
        scratch: scratch.mutableVector)
      window.convolutionWeightsGradient(
        matrix(images, examples), outputGradient: matrix(gradient, examples), into: target(&toWeights, window.count),
        alpha: -0.5, beta: 0.25, scratch: scratch.mutableVector)
      for index in expected.indices { #expect(abs(Double(output[index]) - expected[index]) < 1e-3) }
      for index in imagesGradient.indices { #expect(abs(Double(toImages[index]) - imagesGradient[index]) < 1e-3) }
      for index in weightsGradient.indices {
        #expect(abs(Double(toWeights[index]) - (Double(old[index]) * 0.25 - weightsGradient[index] / 2)) < 1e-3)
      }
    }
  }
}
