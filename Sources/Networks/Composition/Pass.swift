import Tensors

/// Which update a pass belongs to, for layers whose randomness or statistics depend on it.
public struct PassContext: Sendable {
  /// Whether the pass is part of an update (batch statistics, dropout) or looks at a state (running statistics).
  public let isTraining: Bool
  public let seed: UInt64
  public let batch: Int
  /// Whether the pass repeats one of the same update, for activations that were not kept: what a pass does to buffers
  /// such as running statistics has been done.
  public internal(set) var isRepeated = false
  /// The weight this batch's statistics get in running ones; nil for each layer's own.
  public let statisticsWeight: Float?
  /// How many threads a large product is shared between, for `multiply(_:by:into:)` and convolutions. No bit depends on it.
  public internal(set) var threads = 1

  public init(isTraining: Bool, seed: UInt64 = 0, batch: Int = 0, statisticsWeight: Float? = nil) {
    self.isTraining = isTraining
    self.seed = seed
    self.batch = batch
    self.statisticsWeight = statisticsWeight
  }

  func repeated(_ isRepeated: Bool) -> PassContext {
    var context = self
    context.isRepeated = isRepeated
    return context
  }

  func shared(between threads: Int) -> PassContext {
    var context = self
    context.threads = threads
    return context
  }
}

/// What a layer sees on the way forward.
public struct ForwardPass {
  /// examples × input features.
  public let input: Matrix
  /// examples × output features; the same memory as `input` for a layer in place.
  public let output: Matrix
  public let saved: Vector
  public let scratch: Vector
  public let context: PassContext
  let state: Vector

  /// The tensor at `region` of the state.
  public func tensor(_ region: Region) -> Vector { state.part(region) }

  /// The pass of a layer inside this one.
  /// - Parameters:
  ///   - input: what the inner layer gets, a row for each row of this pass.
  ///   - output: where its output goes, which its backward pass must find as it was where `LayerMemory.readsOutput` says so.
  ///   - saved: a part of this pass's saved memory, as long as the inner layer's `LayerMemory.saved`.
  ///   - scratch: a part of this pass's scratch memory, at least as long as its `LayerMemory.forwardScratch`.
  public func inner(input: Matrix, output: Matrix, saved: Vector, scratch: Vector) -> ForwardPass {
    ForwardPass(input: input, output: output, saved: saved, scratch: scratch, context: context, state: state)
  }
}

/// What a layer sees on the way back.
public struct BackwardPass {
  public let input: Matrix
  public let output: Matrix
  /// The loss's gradient by `output`. The layer may overwrite it.
  public let outputGradient: Matrix
  /// Where its gradient by `input` goes; nil where nobody needs it.
  public let inputGradient: Matrix?
  public let saved: Vector
  public let scratch: Vector
  public let context: PassContext
  let state: Vector
  let sink: GradientSink

  /// The tensor at `region` of the state.
  public func tensor(_ region: Region) -> Vector { state.part(region) }

  /// Takes the gradient of the parameter at `region`, which `add` adds to its target.
  public func takeGradient(of region: Region, _ add: (GradientTarget) -> Void) {
    sink.take(region, add)
  }

  /// The pass of a layer inside this one.
  /// - Parameters:
  ///   - input: what the inner layer got on the way forward.
  ///   - output: what it made of it.
  ///   - outputGradient: the loss's gradient by `output`, which the inner layer may overwrite.
  ///   - inputGradient: where its gradient by `input` goes; nil where nobody needs it.
  ///   - saved: the part of this pass's saved memory that it had on the way forward.
  ///   - scratch: a part of this pass's scratch memory, at least as long as its `LayerMemory.backwardScratch`.
  public func inner(
    input: Matrix, output: Matrix, outputGradient: Matrix, inputGradient: Matrix?, saved: Vector, scratch: Vector
  ) -> BackwardPass {
    BackwardPass(
      input: input, output: output, outputGradient: outputGradient, inputGradient: inputGradient, saved: saved,
      scratch: scratch, context: context, state: state, sink: sink)
  }
}

/// Takes a gradient g as values ← keep · values + scale · g. With keep = 0, old values are not read.
public struct GradientTarget {
  public let values: Vector
  public let scale: Float
  public let keep: Float

  /// Adds the gradient `sum`.
  public func add(_ sum: Vector) {
    values.assign(scale, times: sum, plus: keep)
  }
}

/// Where the gradients of a backward pass go.
enum GradientSink {
  /// To a buffer laid out like the state, or to the state itself: with keep = 1 and scale = −η that is plain SGD's
  /// update, and no gradient is ever stored (Lv et al. 2023, "Full parameter fine-tuning for large language models
  /// with limited resources").
  case accumulate(in: Vector, scale: Float, keep: Float)
  /// To the optimizer, one parameter's at a time, each in the same scratch memory.
  case step(OptimizerStep, state: Vector, scratch: Vector)

  func take(_ region: Region, _ add: (GradientTarget) -> Void) {
    switch self {
    case .accumulate(let buffer, let scale, let keep):
      add(GradientTarget(values: buffer.part(region), scale: scale, keep: keep))
    case .step(let step, let state, let scratch):
      let gradient = scratch.part(Region(offset: 0, count: region.count))
      add(GradientTarget(values: gradient, scale: 1, keep: 0))
      step.apply(gradient, to: region, of: state)
    }
  }
}
