import CKernels

extension Matrix {
  /// Writes the mean and the biased variance of each column.
  public func columnMoments(mean: MutableVector, variance: MutableVector) {
    precondition(mean.count == columns && variance.count == columns)
    ck_moments(gapless, rows, columns, mean.base, variance.base)
  }

  /// output ← factor · (self − mean) + shift, column by column.
  public func normalize(mean: Vector, factor: Vector, shift: Vector, into output: MutableMatrix) {
    precondition(mean.count == columns && factor.count == columns && shift.count == columns)
    precondition(output.rows == rows && output.columns == columns)
    ck_normalize(gapless, rows, columns, mean.base, factor.base, shift.base, output.gapless)
  }

  /// Where self is the gradient g by a normalisation's output and `input` its input x, column by column: sums ← Σ g,
  /// products ← Σ g (x − mean).
  public func columnMoments(of input: Matrix, mean: Vector, sums: MutableVector, products: MutableVector) {
    precondition(input.rows == rows && input.columns == columns)
    precondition(mean.count == columns && sums.count == columns && products.count == columns)
    ck_gradient_moments(gapless, input.gapless, rows, columns, mean.base, sums.base, products.base)
  }

  /// output ← factor · self + slope · (input − mean) + shift, column by column.
  public func combine(
    with input: Matrix, mean: Vector, factor: Vector, slope: Vector, shift: Vector, into output: MutableMatrix
  ) {
    precondition(input.rows == rows && input.columns == columns && output.rows == rows && output.columns == columns)
    precondition(
      mean.count == columns && factor.count == columns && slope.count == columns && shift.count == columns)
    ck_normalize_gradient(
      gapless, input.gapless, rows, columns, mean.base, factor.base, slope.base, shift.base, output.gapless)
  }
}
