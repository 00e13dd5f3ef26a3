import CKernels
import Foundation
import Tensors
import Testing

/// What evaluations and averages are made of, against plain loops, bit by bit.
@Suite struct EvaluationKernelTests {
  private let random = RandomSource(seed: 12, purpose: .synthesis)

  private func normal(_ count: Int, batch: Int) throws -> FloatBuffer {
    var buffer = try FloatBuffer(count: count)
    random.fillNormal(buffer.mutableVector, batch: batch, deviation: 1)
    return buffer
  }

  /// One sum of a product in blocks of 512 terms, each of them from the first to the last.
  private func sum(
    _ a: borrowing FloatBuffer, _ row: Range<Int>, _ b: borrowing FloatBuffer, column: Int, of columns: Int, alpha: Float, beta: Float, bias: Float?,
    old: Float
  ) -> Float {
    let isFused = MatrixKernels.areFused
    func added(_ x: Float, _ y: Float, to sum: Float) -> Float { isFused ? sum.addingProduct(x, y) : sum + x * y }
    var result = old
    for first in stride(from: 0, to: row.count, by: 512) {
      var sum: Float = 0
      for k in first..<min(first + 512, row.count) { sum = added(a[row.lowerBound + k], b[k * columns + column], to: sum) }
      let keep = first == 0 ? beta : 1
      var kept = first == 0 ? bias ?? 0 : 0
      if keep != 0 { kept = added(keep, result, to: kept) }
      result = added(alpha, sum, to: kept)
    }
    return result
  }

  /// Rows that are mostly zero take a way of their own, for whole and part panels, chunks, groups of rows and blocks of terms.
  @Test(arguments: [0, 0.05, 0.3, 0.6, 0.95])
  func productsOfRowsWithZeros(density: Double) throws {
    try atEveryLevel { level in
      for (m, n, k) in [(8, 64, 1), (9, 65, 63), (13, 130, 64), (64, 128, 65), (65, 70, 512), (70, 64, 600), (131, 200, 784), (5, 128, 200)] {
        var a = try normal(m * k, batch: 1)
        for index in 0..<m * k where random.uniform(batch: 1_000_000 + index) >= density { a[index] = index.isMultiple(of: 3) ? -0.0 : 0 }
        // One row without a term, and one with all.
        for index in 0..<k {
          a[index] = 0
          a[(m - 1) * k + index] = 1.5
        }
        let b = try normal(n * k, batch: 2)
        let bias = try normal(n, batch: 3)
        let old = try normal(m * n, batch: 4)
        for (alpha, beta, hasBias) in [(Float(1), Float(0), true), (-0.7, 0.3, false)] {
          var c = try FloatBuffer(count: m * n)
          if beta == 0 { c.mutableVector.fill(.nan) } else { try c.copy(from: old) }
          multiply(
            a.vector.matrix(rows: m, columns: k), by: b.vector.matrix(rows: k, columns: n),
            into: c.mutableVector.matrix(rows: m, columns: n), alpha: alpha, beta: beta, bias: hasBias ? bias.vector : nil)
          var differences = 0
          for i in 0..<m {
            for j in 0..<n {
              let expected = sum(
                a, i * k..<(i + 1) * k, b, column: j, of: n, alpha: alpha, beta: beta, bias: hasBias ? bias[j] : nil, old: old[i * n + j])
              if c[i * n + j].bitPattern != expected.bitPattern { differences += 1 }
            }
          }
          #expect(differences == 0, "\(level): \(m) × \(n) × \(k)")
        }
      }
    }
  }

  /// Each of several buffers takes its own step, as long as a block of the kernel or longer.
  @Test func buffersMoveTogether() throws {
    try atEveryLevel { level in
      for count in [0, 1, 5, 1023, 1024, 1025, 5000] {
        let target = try normal(count, batch: 1)
        var a = try normal(count, batch: 2)
        var b = try normal(count, batch: 3)
        let oldA = try normal(count, batch: 2)
        let oldB = try normal(count, batch: 3)
        let length = count - count / 5
        try FloatBuffer.move([a.moved(by: 0.01), b.moved(by: 0.7)], toward: target, first: length)
        for i in 0..<count {
          let isMoved = i < length
          #expect(a[i].bitPattern == (isMoved ? oldA[i] + 0.01 * (target[i] - oldA[i]) : oldA[i]).bitPattern, "\(level)")
          #expect(b[i].bitPattern == (isMoved ? oldB[i] + 0.7 * (target[i] - oldB[i]) : oldB[i]).bitPattern, "\(level)")
        }
      }
    }
  }

  /// Logits of all sizes, and some that are no numbers.
  private func logits(rows: Int, columns: Int) throws -> FloatBuffer {
    var buffer = try normal(rows * columns, batch: 10 + columns)
    let odd: [Float] = [-.infinity, .infinity, .nan, 0, -0.0, 1e30, -1e30, 3, 3]
    for index in 0..<rows * columns {
      buffer[index] *= [1, 10, 100][index / columns % 3]
      // Every fifth row has odd ones.
      if index / columns % 5 == 4, random.index(below: 3, batch: 50, example: index) == 0 {
        buffer[index] = odd[random.index(below: odd.count, batch: 51, example: index)]
      }
    }
    for index in 0..<columns { buffer[index] = -.infinity }
    return buffer
  }

  @Test func crossEntropiesOfFewLogits() throws {
    try atEveryLevel { level in
      for columns in 1...Matrix.fewLogits {
        let rows = 83
        let x = try logits(rows: rows, columns: columns)
        let classes = (0..<rows).map { Int32(random.index(below: columns, batch: 52, example: $0)) }
        let matrix = x.vector.matrix(rows: rows, columns: columns)
        for row in 0..<rows {
          var largest = matrix[row: row][0]
          for c in 0..<columns where matrix[row: row][c] > largest { largest = matrix[row: row][c] }
          let powers = Elementary.exponentialSums(matrix[row: row], minus: largest == -.infinity ? 0 : largest).powers
          let expected = 0.25 + (Elementary.log(powers) + Double(largest) - Double(matrix[row: row][Int(classes[row])]))
          var found = 0.25
          matrix.rows(row..<row + 1).addCrossEntropies(of: [classes[row]], to: &found)
          #expect(found.bitPattern == expected.bitPattern || (found.isNaN && expected.isNaN), "\(level): \(columns)")
        }
        // Rows that have a loss, together.
        let finite = (0..<rows).filter { $0 % 5 != 4 && $0 > 0 }
        var kept = try FloatBuffer(count: finite.count * columns)
        for (place, row) in finite.enumerated() { for c in 0..<columns { kept[place * columns + c] = matrix[row: row][c] } }
        let some = kept.vector.matrix(rows: finite.count, columns: columns)
        let labels = finite.map { classes[$0] }
        var (found, expected) = (0.0, 0.0)
        some.addCrossEntropies(of: labels, to: &found)
        for row in 0..<finite.count { some.rows(row..<row + 1).addCrossEntropies(of: [labels[row]], to: &expected) }
        #expect(found.isFinite && found == expected)
      }
    }
  }

  @Test func hitsAreLargestAndFirst() throws {
    try atEveryLevel { level in
      for columns in [1, 2, 3, 10, 16, 40, 300] {
        let rows = 60
        var x = try logits(rows: rows, columns: columns)
        // Some rows have two that are equal.
        for row in stride(from: 0, to: rows, by: 4) where columns > 2 { x[row * columns + 2] = x[row * columns + 1] }
        let matrix = x.vector.matrix(rows: rows, columns: columns)
        for place in 0..<min(columns, 4) {
          var expected = 0
          for r in 0..<rows {
            let row = (0..<columns).map { matrix[row: r][$0] }
            guard !row.contains(where: \.isNaN), let largest = row.max(), largest.isFinite else { continue }
            if row.firstIndex(of: largest) == place { expected += 1 }
          }
          #expect(matrix.countHits(at: Array(repeating: Int32(place), count: rows)) == expected, "\(level): \(columns)")
        }
        #expect(matrix.countHits(at: Array(repeating: Int32(columns), count: rows)) == 0)
        #expect(matrix.countHits(at: Array(repeating: -1, count: rows)) == 0)
      }
    }
  }
}
