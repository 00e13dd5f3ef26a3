import Tensors

/// y = γ (x − μ) / √(σ² + ε) + β for each channel, with mean μ and biased variance σ² of the batch's values at all
/// positions in training, and running ones otherwise: `torch.nn.BatchNorm2d` (Ioffe and Szegedy 2015).
///
/// In training, running statistics r become (1 − w) r + w s, with the batch's mean and its unbiased variance as s. They
/// are part of the training state.
public struct BatchNormalization: Layer {
  public let epsilon: Float
  /// w, from 0 to 1.
  public let statisticsWeight: Float

  public init(epsilon: Float = 1e-5, statisticsWeight: Float = 0.1) {
    self.epsilon = epsilon
    self.statisticsWeight = statisticsWeight
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) -> any PlacedLayer {
    let channels = inputShape[inputShape.count - 1]
    builder.addCounter("num_batches_tracked")
    return PlacedBatchNormalization(
      epsilon: epsilon, statisticsWeight: statisticsWeight, outputShape: inputShape, channels: channels,
      weight: builder.add("weight", shape: [channels], initialization: .constant(1)),
      bias: builder.add("bias", shape: [channels], initialization: .constant(0)),
      runningMean: builder.add("running_mean", shape: [channels], role: .buffer, initialization: .constant(0)),
      runningVariance: builder.add("running_var", shape: [channels], role: .buffer, initialization: .constant(1)))
  }
}

private struct PlacedBatchNormalization: PlacedLayer {
  let epsilon: Float
  let statisticsWeight: Float
  let outputShape: [Int]
  let channels: Int
  let weight: Region
  let bias: Region
  let runningMean: Region
  let runningVariance: Region

  /// Saved are the mean, then the factor γ / √(σ² + ε), then 1 / √(σ² + ε).
  var memory: LayerMemory {
    LayerMemory(
      saved: 3 * channels, forwardScratch: channels, backwardScratch: 4 * channels, readsOutput: false, overwritesGradient: false)
  }

  var batchParts: BatchParts { .whole(because: "batch normalization takes its statistics over the whole batch") }

  /// The place of row `index` in saved or scratch memory.
  private func row(_ index: Int) -> Region { Region(offset: index * channels, count: channels) }

  func forward(_ pass: ForwardPass) {
    let input = pass.input.rearranged(columns: channels)
    let (mean, factor, inverse) = (pass.saved.part(row(0)), pass.saved.part(row(1)), pass.saved.part(row(2)))
    let variance = pass.scratch.part(row(0))
    if pass.context.isTraining {
      input.columnMoments(mean: mean, variance: variance)
      follow(mean.vector, variance.vector, count: input.rows, in: pass)
    } else {
      mean.copy(from: pass.tensor(runningMean))
      variance.copy(from: pass.tensor(runningVariance))
    }
    let weight = pass.tensor(weight)
    for c in 0..<channels {
      inverse[c] = 1 / (variance[c] + epsilon).squareRoot()
      factor[c] = weight[c] * inverse[c]
    }
    input.normalize(
      mean: mean.vector, factor: factor.vector, shift: pass.tensor(bias),
      into: pass.output.rearranged(columns: channels))
  }

  /// Moves the running statistics, unless the pass repeats one that did.
  private func follow(_ mean: Vector, _ variance: Vector, count: Int, in pass: ForwardPass) {
    guard let runningMean = pass.buffer(runningMean), let runningVariance = pass.buffer(runningVariance) else { return }
    let fraction = pass.context.statisticsWeight ?? statisticsWeight
    // A single value has no unbiased variance; its biased one, zero, has to do.
    let unbiased = Float(count) / Float(max(1, count - 1))
    runningMean.assign(fraction, times: mean, plus: 1 - fraction)
    runningVariance.assign(fraction * unbiased, times: variance, plus: 1 - fraction)
  }

  /// With x̂ = (x − μ) / √(σ² + ε) and M values a channel: ∂x = γ / √(σ² + ε) · (∂y − Σ∂y / M − x̂ Σ(∂y x̂) / M),
  /// ∂γ = Σ ∂y x̂, ∂β = Σ ∂y.
  func backward(_ pass: BackwardPass) {
    let input = pass.input.rearranged(columns: channels)
    let outputGradient = pass.outputGradient.matrix.rearranged(columns: channels)
    let (mean, factor, inverse) = (pass.saved.part(row(0)), pass.saved.part(row(1)), pass.saved.part(row(2)))
    let (sums, products) = (pass.scratch.part(row(0)), pass.scratch.part(row(1)))
    outputGradient.columnMoments(of: input, mean: mean, sums: sums, products: products)
    if let inputGradient = pass.inputGradient {
      let (slope, shift) = (pass.scratch.part(row(2)), pass.scratch.part(row(3)))
      let count = Float(input.rows)
      for c in 0..<channels {
        slope[c] = -factor[c] * inverse[c] * inverse[c] * products[c] / count
        shift[c] = -factor[c] * sums[c] / count
      }
      outputGradient.combine(
        with: input, mean: mean, factor: factor, slope: slope.vector, shift: shift.vector,
        into: inputGradient.rearranged(columns: channels))
    }
    for c in 0..<channels { products[c] *= inverse[c] }
    pass.takeGradient(of: weight) { $0.add(products.vector) }
    pass.takeGradient(of: bias) { $0.add(sums.vector) }
  }
}
