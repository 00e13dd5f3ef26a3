import CKernels

extension Matrix {
  /// By row: output ← weight · (self − mean) · inverse + bias, with the row's mean and inverse = 1 / √(variance + ε), which
  /// are written too.
  public func normalizeRows(
    weight: Vector, bias: Vector, epsilon: Float, into output: Matrix, mean: Vector, inverse: Vector
  ) {
    precondition(output.rows == rows && output.columns == columns && weight.count == columns && bias.count == columns)
    precondition(mean.count >= rows && inverse.count >= rows)
    ck_layer_norm(
      gapless, rows, columns, weight.base, bias.base, epsilon, output.gapless, mean.base, inverse.base)
  }

  /// With self the gradients by the output of `normalizeRows`: inputGradient ← the gradient by its input, and by column
  /// sums ← Σ g, products ← Σ g x̂.
  public func normalizeRowsGradient(
    of input: Matrix, weight: Vector, mean: Vector, inverse: Vector, into inputGradient: Matrix?, sums: Vector,
    products: Vector
  ) {
    precondition(input.rows == rows && input.columns == columns && weight.count == columns)
    precondition(mean.count >= rows && inverse.count >= rows && sums.count == columns && products.count == columns)
    if let inputGradient { precondition(inputGradient.rows == rows && inputGradient.columns == columns) }
    ck_layer_norm_gradient(
      gapless, input.gapless, rows, columns, weight.base, mean.base, inverse.base, inputGradient?.gapless, sums.base,
      products.base)
  }

  /// Row r of the square matrix becomes softmax(scale · self) of its first r + 1 entries, the others 0.
  public func becomeCausalSoftmax(scale: Float) {
    precondition(rows == columns)
    ck_causal_softmax(gapless, rows, scale)
  }

  /// With self the gradients by `probabilities`, those of `becomeCausalSoftmax`: self ← the gradients by its argument.
  public func becomeCausalSoftmaxGradient(probabilities: Matrix, scale: Float) {
    precondition(rows == columns && probabilities.rows == rows && probabilities.columns == columns)
    ck_causal_softmax_gradient(probabilities.gapless, gapless, rows, scale)
  }
}

extension Vector {
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

  /// self ← `input`, each element divided by 1 − probability, or with the probability 0. Element i is decided by word
  /// i mod 4 of `source`'s at (batch, example, i / 4).
  public func assignDropout(of input: Vector, probability: Double, source: RandomSource, batch: Int, example: Int) {
    precondition(count == input.count && (0..<1).contains(probability))
    let (key, counter) = source.stream(batch: batch, example: example)
    ck_dropout(
      input.base, base, count, UInt32(probability * 0x1p32), Float(1 / (1 - probability)), key.x, key.y, counter.y,
      counter.z, counter.w)
  }
}
