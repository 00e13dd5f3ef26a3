import CKernels

extension Matrix {
  /// Row by row: output ← weight · (self − mean) · inverse + bias, with the row's mean and inverse = 1 / √(variance + ε), which
  /// are written too, one of each for every row.
  public func normalizeRows(
    weight: Vector, bias: Vector, epsilon: Float, into output: MutableMatrix, mean: MutableVector,
    inverse: MutableVector
  ) {
    precondition(output.rows == rows && output.columns == columns && weight.count == columns && bias.count == columns)
    precondition(mean.count >= rows && inverse.count >= rows)
    ck_layer_norm(
      gapless, rows, columns, weight.base, bias.base, epsilon, output.gapless, mean.base, inverse.base)
  }

  /// Where self is the gradient g by the output of `normalizeRows`, and x̂ = (input − mean) · inverse: inputGradient ← the gradient
  /// by its input, unless that is nil, and column by column sums ← Σ g, products ← Σ g x̂.
  public func normalizeRowsGradient(
    of input: Matrix, weight: Vector, mean: Vector, inverse: Vector, into inputGradient: MutableMatrix?,
    sums: MutableVector, products: MutableVector
  ) {
    precondition(input.rows == rows && input.columns == columns && weight.count == columns)
    precondition(mean.count >= rows && inverse.count >= rows && sums.count == columns && products.count == columns)
    if let inputGradient { precondition(inputGradient.rows == rows && inputGradient.columns == columns) }
    ck_layer_norm_gradient(
      gapless, input.gapless, rows, columns, weight.base, mean.base, inverse.base, inputGradient?.gapless, sums.base,
      products.base)
  }
}

extension MutableMatrix {
  /// These are the scores of consecutive positions, a row for each, against all positions up to the last of them. Each row
  /// becomes softmax(scale · row) of the entries up to its own position, followed by zeros. The last
  /// row sees all columns, the one before it all but one. A square matrix is a whole sequence's.
  public func becomeCausalSoftmax(scale: Float) {
    precondition(rows <= columns)
    ck_causal_softmax(gapless, rows, columns, scale)
  }

  /// Where self is the gradient by `probabilities`, which `becomeCausalSoftmax` made: self ← the gradient by what it made them
  /// of.
  public func becomeCausalSoftmaxGradient(probabilities: Matrix, scale: Float) {
    precondition(rows <= columns && probabilities.rows == rows && probabilities.columns == columns)
    ck_causal_softmax_gradient(probabilities.gapless, gapless, rows, columns, scale)
  }
}

extension MutableVector {
  /// self ← x Φ(x) of `input`, with Φ the distribution function of the standard normal.
  public func assignGELU(of input: Vector) {
    precondition(count == input.count)
    ck_gelu(input.base, base, count)
  }

  /// self ← gradient · (Φ(x) + x φ(x)) with x from `input`.
  public func assignGELUGradient(_ gradient: Vector, of input: Vector) {
    precondition(count == input.count && count == gradient.count)
    ck_gelu_gradient(gradient.base, input.base, base, count)
  }

  /// self ← `input` with each element divided by 1 − p, or, with the probability p, replaced by 0. Word i mod 4 of those
  /// that `source` has for (batch, example, i / 4) decides about element i.
  public func assignDropout(of input: Vector, probability: Double, source: RandomSource, batch: Int, example: Int) {
    precondition(count == input.count && (0..<1).contains(probability))
    let (key, counter) = source.stream(batch: batch, example: example)
    ck_dropout(
      input.base, base, count, UInt32(probability * 0x1p32), Float(1 / (1 - probability)), key.x, key.y, counter.y,
      counter.z, counter.w)
  }
}
