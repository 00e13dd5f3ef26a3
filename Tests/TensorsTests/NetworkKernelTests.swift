import Foundation
import Tensors
import Testing

/// The kernels of layers and optimizers against plain references in double precision, at sizes that fill no register.
@Suite struct NetworkKernelTests {
  private func random(_ count: Int, batch: Int, deviation: Double = 1) throws -> FloatBuffer {
    var buffer = try FloatBuffer(count: count)
    RandomSource(seed: 11, purpose: .synthesis).fillNormal(buffer.mutableVector, batch: batch, deviation: deviation)
    return buffer
  }

  private func doubles(_ buffer: borrowing FloatBuffer) -> [Double] { (0..<buffer.count).map { Double(buffer[$0]) } }

  private func worst(_ found: [Double], _ expected: [Double]) -> Double {
    #expect(found.count == expected.count)
    return zip(found, expected).map { abs($0 - $1) / max(1, abs($1)) }.max() ?? 0
  }

  static let counts = [1, 3, 15, 16, 17, 63, 100, 1000]

  @Test(arguments: counts)
  func gelu(count: Int) throws {
    let x = try random(count, batch: 1, deviation: 3)
    let g = try random(count, batch: 2)
    var y = try FloatBuffer(count: count)
    var dx = try FloatBuffer(count: count)
    y.mutableVector.assignGELU(of: x.vector)
    dx.mutableVector.assignGELUGradient(g.vector, of: x.vector)
    func cdf(_ x: Double) -> Double { erfc(-x / 2.0.squareRoot()) / 2 }
    func density(_ x: Double) -> Double { exp(-x * x / 2) / (2 * Double.pi).squareRoot() }
    let xs = doubles(x)
    #expect(worst(doubles(y), xs.map { $0 * cdf($0) }) < 1e-6)
    #expect(worst(doubles(dx), zip(doubles(g), xs).map { $0 * (cdf($1) + $1 * density($1)) }) < 1e-6)
  }

  @Test func geluAtTheEnds() throws {
    let ends: [Float] = [-1e30, -100, -20, 0, 20, 100, 1e30]
    var x = try FloatBuffer(count: ends.count)
    for (index, value) in ends.enumerated() { x[index] = value }
    var y = try FloatBuffer(count: ends.count)
    y.mutableVector.assignGELU(of: x.vector)
    #expect(abs(y[1]) < 1e-30 && abs(y[2]) < 1e-30 && y[3] == 0 && y[4] == 20 && y[5] == 100 && y[6] == 1e30)
  }

  @Test(arguments: [(1, 1), (3, 5), (7, 16), (4, 33), (2, 129)])
  func layerNormalization(rows: Int, columns: Int) throws {
    let x = try random(rows * columns, batch: 1, deviation: 2)
    let g = try random(rows * columns, batch: 2)
    let weight = try random(columns, batch: 3)
    let bias = try random(columns, batch: 4)
    var y = try FloatBuffer(count: rows * columns)
    var dx = try FloatBuffer(count: rows * columns)
    var mean = try FloatBuffer(count: rows)
    var inverse = try FloatBuffer(count: rows)
    var sums = try FloatBuffer(count: columns)
    var products = try FloatBuffer(count: columns)
    func matrix(_ buffer: borrowing FloatBuffer) -> Matrix { buffer.vector.matrix(rows: rows, columns: columns) }
    func target(_ buffer: inout FloatBuffer) -> MutableMatrix {
      buffer.mutableVector.matrix(rows: rows, columns: columns)
    }
    matrix(x).normalizeRows(
      weight: weight.vector, bias: bias.vector, epsilon: 1e-5, into: target(&y), mean: mean.mutableVector,
      inverse: inverse.mutableVector)
    matrix(g).normalizeRowsGradient(
      of: matrix(x), weight: weight.vector, mean: mean.vector, inverse: inverse.vector, into: target(&dx),
      sums: sums.mutableVector, products: products.mutableVector)
    let (xs, gs, ws, bs) = (doubles(x), doubles(g), doubles(weight), doubles(bias))
    var (ys, dxs) = (xs, xs)
    var (expectedSums, expectedProducts) = (bs.map { _ in 0.0 }, bs.map { _ in 0.0 })
    for r in 0..<rows {
      let row = Array(xs[r * columns..<(r + 1) * columns])
      let m = row.reduce(0, +) / Double(columns)
      let variance = row.reduce(0) { $0 + ($1 - m) * ($1 - m) } / Double(columns)
      let scale = 1 / (variance + 1e-5).squareRoot()
      let hats = row.map { ($0 - m) * scale }
      let along = (0..<columns).map { gs[r * columns + $0] * ws[$0] }
      let (a, b) = (along.reduce(0, +) / Double(columns), zip(along, hats).reduce(0) { $0 + $1.0 * $1.1 } / Double(columns))
      for c in 0..<columns {
        ys[r * columns + c] = ws[c] * hats[c] + bs[c]
        dxs[r * columns + c] = scale * (along[c] - a - hats[c] * b)
        expectedSums[c] += gs[r * columns + c]
        expectedProducts[c] += gs[r * columns + c] * hats[c]
      }
    }
    #expect(worst(doubles(y), ys) < 1e-5)
    // With one channel, 1 / √ε magnifies the rounding of differences that are zero.
    #expect(worst(doubles(dx), dxs) < (columns == 1 ? 1e-3 : 1e-5))
    #expect(worst(doubles(sums), expectedSums) < 1e-5 && worst(doubles(products), expectedProducts) < 1e-5)
  }

  /// Scores of a whole sequence, and of its last positions alone.
  @Test(arguments: [(1, 1), (2, 2), (15, 15), (16, 16), (17, 17), (40, 40), (1, 33), (5, 16), (16, 40)])
  func causalSoftmax(rows: Int, columns: Int) throws {
    var s = try random(rows * columns, batch: 1, deviation: 20)
    var g = try random(rows * columns, batch: 2)
    let (before, gradients) = (doubles(s), doubles(g))
    let p = s.mutableVector.matrix(rows: rows, columns: columns)
    p.becomeCausalSoftmax(scale: 0.3)
    g.mutableVector.matrix(rows: rows, columns: columns).becomeCausalSoftmaxGradient(probabilities: p.matrix, scale: 0.3)
    var (expected, expectedGradients) = (before.map { _ in 0.0 }, before.map { _ in 0.0 })
    for r in 0..<rows {
      let seen = r * columns..<r * columns + columns - rows + r + 1
      let largest = before[seen].max() ?? 0
      let weights = before[seen].map { exp(0.3 * ($0 - largest)) }
      let ps = weights.map { $0 / weights.reduce(0, +) }
      let mean = zip(ps, gradients[seen]).reduce(0.0) { $0 + $1.0 * $1.1 }
      for (c, p) in zip(seen, ps) { (expected[c], expectedGradients[c]) = (p, 0.3 * p * (gradients[c] - mean)) }
    }
    #expect(worst(doubles(s), expected) < 1e-6 && worst(doubles(g), expectedGradients) < 1e-6)
  }

  /// The mask consists of the generator's own numbers.
  @Test(arguments: [1, 4, 63, 64, 65, 1000])
  func dropout(count: Int) throws {
    let source = RandomSource(seed: 0x1234_5678_9ABC_DEF0, purpose: .dropout)
    let x = try random(count, batch: 1)
    var y = try FloatBuffer(count: count)
    let (batch, example) = (0x1_2345_6789, 77)
    y.mutableVector.assignDropout(of: x.vector, probability: 0.25, source: source, batch: batch, example: example)
    for index in 0..<count {
      let word = source.words(batch: batch, example: example, element: index / 4)[index % 4]
      #expect(y[index] == (word >= 1 << 30 ? x[index] * Float(1 / 0.75) : 0))
    }
  }

  @Test(arguments: [(1, 1), (5, 3), (300, 7), (129, 40), (128, 64)])
  func columnMoments(rows: Int, columns: Int) throws {
    var x = try random(rows * columns, batch: 1, deviation: 3)
    let g = try random(rows * columns, batch: 2)
    for index in 0..<x.count { x[index] += 50 }
    var mean = try FloatBuffer(count: columns)
    var variance = try FloatBuffer(count: columns)
    var sums = try FloatBuffer(count: columns)
    var products = try FloatBuffer(count: columns)
    let matrix = x.vector.matrix(rows: rows, columns: columns)
    matrix.columnMoments(mean: mean.mutableVector, variance: variance.mutableVector)
    g.vector.matrix(rows: rows, columns: columns).columnMoments(
      of: matrix, mean: mean.vector, sums: sums.mutableVector, products: products.mutableVector)
    let (xs, gs) = (doubles(x), doubles(g))
    for c in 0..<columns {
      let (column, gradients) = ((0..<rows).map { xs[$0 * columns + c] }, (0..<rows).map { gs[$0 * columns + c] })
      let m = column.reduce(0, +) / Double(rows)
      let v = column.reduce(0) { $0 + ($1 - m) * ($1 - m) } / Double(rows)
      #expect(abs(Double(mean[c]) - m) < 1e-5 * 50 && abs(Double(variance[c]) - v) < 1e-5 * max(1, v))
      #expect(abs(Double(sums[c]) - gradients.reduce(0, +)) < 1e-4)
      let product = zip(gradients, column).reduce(0.0) { $0 + $1.0 * ($1.1 - Double(mean[c])) }
      #expect(abs(Double(products[c]) - product) < 1e-3)
    }
  }

  @Test(arguments: counts)
  func optimizers(count: Int) throws {
    let x = try random(count, batch: 1)
    let g = try random(count, batch: 2)
    let first = try random(count, batch: 3)
    var second = try random(count, batch: 4)
    for index in 0..<count { second[index] = abs(second[index]) }
    let (xs, gs, firsts, seconds) = (doubles(x), doubles(g), doubles(first), doubles(second))
    func restored(_ update: (MutableVector, MutableVector, MutableVector) -> Void) throws -> [Double] {
      var y = try FloatBuffer(count: count)
      var a = try FloatBuffer(count: count)
      var b = try FloatBuffer(count: count)
      y.mutableVector.copy(from: x.vector)
      a.mutableVector.copy(from: first.vector)
      b.mutableVector.copy(from: second.vector)
      update(y.mutableVector, a.mutableVector, b.mutableVector)
      return doubles(y) + doubles(a) + doubles(b)
    }
    func expected(_ update: (Int) -> (Double, Double, Double)) -> [Double] {
      let values = (0..<count).map(update)
      return values.map(\.0) + values.map(\.1) + values.map(\.2)
    }
    func slot(_ floats: MutableVector) -> SlotVector { SlotVector(floats, count: count, .float32) }
    let momentum = try restored { x, a, _ in OptimizerKernels.momentum(x, g.vector, velocity: slot(a), rate: 0.1, mu: 0.9) }
    let velocities = (0..<count).map { 0.9 * firsts[$0] + gs[$0] }
    #expect(worst(momentum, expected { (xs[$0] - 0.1 * velocities[$0], velocities[$0], seconds[$0]) }) < 1e-6)
    let nesterov = try restored { x, a, _ in OptimizerKernels.nesterov(x, g.vector, velocity: slot(a), rate: 0.1, mu: 0.9) }
    #expect(
      worst(nesterov, expected { (xs[$0] - 0.1 * (gs[$0] + 0.9 * velocities[$0]), velocities[$0], seconds[$0]) }) < 1e-6)
    let adam = try restored { x, a, b in
      OptimizerKernels.adam(
        x, g.vector, mean: slot(a), square: slot(b), rate: 0.1, beta1: 0.8, beta2: 0.9, squareScale: 1.5, epsilon: 1e-3)
    }
    let (means, squares) = (
      (0..<count).map { 0.8 * firsts[$0] + 0.2 * gs[$0] }, (0..<count).map { 0.9 * seconds[$0] + 0.1 * gs[$0] * gs[$0] }
    )
    #expect(
      worst(
        adam, expected { (xs[$0] - 0.1 * means[$0] / (1.5 * squares[$0].squareRoot() + 1e-3), means[$0], squares[$0]) })
        < 1e-5)
    let rmsprop = try restored { x, _, b in
      OptimizerKernels.rmsprop(x, g.vector, square: slot(b), rate: 0.1, alpha: 0.9, epsilon: 1e-3)
    }
    #expect(
      worst(rmsprop, expected { (xs[$0] - 0.1 * gs[$0] / (squares[$0].squareRoot() + 1e-3), firsts[$0], squares[$0]) })
        < 1e-5)
  }
}
