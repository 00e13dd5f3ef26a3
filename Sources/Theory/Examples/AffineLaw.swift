/// The first two moments of random affine maps θ ↦ A θ + c, drawn independently, and what follows from them about the stationary law of
/// their compositions. With μ the mean of that law and e = θ − μ, the map is e ↦ A e + b with b = A μ + c − μ, whose mean is 0.
package struct AffineLaw {
  /// μ, of length d.
  package let mean: [Double]
  /// E[A], d × d.
  package let meanMap: SquareMatrix
  /// E[A ⊗ A], d² × d², which takes a matrix M, row by row, to E[A M Aᵀ].
  package let square: SquareMatrix
  /// E[b bᵀ], row by row.
  package let noise: [Double]

  package var dimension: Int { mean.count }

  /// Σ, row by row, from the discrete Lyapunov equation of random maps, Σ = E[A Σ Aᵀ] + E[b bᵀ], a linear system of d² unknowns.
  package var covariance: [Double] { SquareMatrix.identity(square.order).minus(square).solution(of: noise) }

  /// The factor by which the root mean square distance of two states falls with an update in the long run: the root of the largest
  /// eigenvalue of E[A ⊗ A], found by applying that to the identity matrix again and again.
  package var contraction: Double {
    var vector = SquareMatrix.identity(dimension).values
    var growth = 0.0
    for _ in 0..<2000 {
      let next = square.times(vector)
      growth = trace(next) / trace(vector)
      vector = next.map { $0 / trace(next) }
    }
    return growth.squareRoot()
  }

  /// E‖θ_n − θ_∞‖² of backward's iterates. With θ′ the limit that the batches after n alone lead to, θ_n − θ_∞ = A_1 … A_n (θ_0 − θ′), and
  /// θ′ is independent of these maps and has the stationary law.
  package func squaredDistance(after n: Int, from start: [Double]) -> Double {
    var moment = covariance
    for i in 0..<dimension {
      for j in 0..<dimension { moment[i * dimension + j] += (start[i] - mean[i]) * (start[j] - mean[j]) }
    }
    for _ in 0..<n { moment = square.times(moment) }
    return trace(moment)
  }

  /// E‖θ_n − θ_(n−1)‖² of forward's iterates under the stationary law: 2 tr Σ − 2 tr(E[A] Σ).
  package var squaredChange: Double {
    let covariance = covariance
    let moved = meanMap.times(SquareMatrix(order: dimension, covariance))
    return 2 * trace(covariance) - 2 * trace(moved.values)
  }

  private func trace(_ matrix: [Double]) -> Double {
    (0..<dimension).reduce(0) { $0 + matrix[$1 * dimension + $1] }
  }
}

/// A small square matrix, stored row by row.
package struct SquareMatrix {
  package let order: Int
  package var values: [Double]

  package init(order: Int, _ values: [Double]) {
    precondition(values.count == order * order, "a square matrix")
    self.order = order
    self.values = values
  }

  package static func identity(_ order: Int) -> SquareMatrix {
    SquareMatrix(order: order, (0..<order * order).map { $0.isMultiple(of: order + 1) ? 1 : 0 })
  }

  package subscript(row: Int, column: Int) -> Double {
    get { values[row * order + column] }
    set { values[row * order + column] = newValue }
  }

  package func times(_ vector: [Double]) -> [Double] {
    (0..<order).map { row in (0..<order).reduce(0) { $0 + self[row, $1] * vector[$1] } }
  }

  package func times(_ other: SquareMatrix) -> SquareMatrix {
    var product = SquareMatrix(order: order, Array(repeating: 0, count: order * order))
    for i in 0..<order { for j in 0..<order { for k in 0..<order { product[i, j] += self[i, k] * other[k, j] } } }
    return product
  }

  package func minus(_ other: SquareMatrix) -> SquareMatrix { SquareMatrix(order: order, zip(values, other.values).map(-)) }

  /// self ⊗ other, both of the same order: it takes M, row by row, to self · M · otherᵀ.
  package func kronecker(_ other: SquareMatrix) -> SquareMatrix {
    var product = SquareMatrix(order: order * order, Array(repeating: 0, count: values.count * values.count))
    for i in 0..<order {
      for j in 0..<order {
        for k in 0..<order {
          for l in 0..<order { product[i * order + j, k * order + l] = self[i, k] * other[j, l] }
        }
      }
    }
    return product
  }

  /// The x with self · x = `right`, by elimination with the largest pivot of each column.
  package func solution(of right: [Double]) -> [Double] {
    var (matrix, x) = (self, right)
    for column in 0..<order {
      let pivot = (column..<order).max { abs(matrix[$0, column]) < abs(matrix[$1, column]) } ?? column
      for k in 0..<order { (matrix[column, k], matrix[pivot, k]) = (matrix[pivot, k], matrix[column, k]) }
      x.swapAt(column, pivot)
      for row in column + 1..<max(order, column + 1) {
        let factor = matrix[row, column] / matrix[column, column]
        for k in column..<order { matrix[row, k] -= factor * matrix[column, k] }
        x[row] -= factor * x[column]
      }
    }
    for row in (0..<order).reversed() {
      for k in row + 1..<max(order, row + 1) { x[row] -= matrix[row, k] * x[k] }
      x[row] /= matrix[row, row]
    }
    return x
  }
}
