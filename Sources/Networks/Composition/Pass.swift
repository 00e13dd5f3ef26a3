import Tensors

/// Which update a pass belongs to, for layers whose randomness or statistics depend on it.
public struct PassContext: Sendable {
  /// Whether the pass is part of an update (batch statistics, dropout) or looks at a state (running statistics).
  public let isTraining: Bool
  public let seed: UInt64
  public let batch: Int
  /// Whether the pass repeats one of the same update, for activations that were not kept. What a pass does to buffers such as
  /// running statistics has then been done.
  public internal(set) var isRepeated = false
  /// The weight that this batch's statistics get in running ones; nil for each layer's own.
  public let statisticsWeight: Float?
  /// Which of the batch's examples is the first of the pass. A batch may go through a network in parts.
  public internal(set) var firstExample = 0
  /// What computes products, for `multiply(_:by:into:)` and convolutions.
  public internal(set) var products = Products()

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

  func starting(at example: Int) -> PassContext {
    var context = self
    context.firstExample = example
    return context
  }

  func computing(_ products: Products) -> PassContext {
    var context = self
    context.products = products
    return context
  }
}

/// What a layer sees on the way forward.
///
/// It reads its input and the state, and writes its output. Its views are valid until `PlacedLayer.forward(_:)` returns: the
/// compiled network, which runs the pass, keeps state and workspace until then, and a layer keeps no view for later.
public struct ForwardPass {
  /// A matrix of examples × input features.
  public let input: Matrix
  /// A matrix of examples × output features. For a layer in place it is the memory of `input`, so that `input` shows what has been
  /// written to it.
  public let output: MutableMatrix
  /// Memory whose contents the backward pass will find, `LayerMemory.saved` floats long.
  public let saved: MutableVector
  /// Memory whose contents are lost after the pass, at least `LayerMemory.forwardScratch` floats long.
  public let scratch: MutableVector
  public let context: PassContext
  let state: Vector
  /// The whole state for writing; nil where the pass may change nothing of it.
  let buffers: MutableVector?
  /// That of the state; nil where all of it is in memory.
  let pager: Pager?

  /// The tensor at `region` of the state, for reading: a parameter, or a buffer such as running statistics.
  public func tensor(_ region: Region) -> Vector { state.part(region) }

  /// The persistent buffer at `region` of the state, such as running statistics, for writing.
  /// - Returns: nil where the pass may not change it: where it only looks at a state, which it then has as a borrowed value, and
  ///   where it repeats one of the same update, which has changed the buffer already.
  public func buffer(_ region: Region) -> MutableVector? { buffers?.part(region) }

  /// Calls `body` for one range of 0 ..< `count` after the other, while the regions of the state that it needs are in memory: for
  /// tensors that are read in parts. Where all of the state is in memory, there is one range.
  /// - Parameters:
  ///   - length: the most of a range.
  ///   - regions: what a range needs.
  func forEachPart(
    of count: Int, length: Int, needing regions: (Range<Int>) -> [Region], _ body: (Range<Int>) -> Void
  ) throws(PagingError) {
    guard let pager else { return body(0..<count) }
    let starts = Array(stride(from: 0, to: count, by: length))
    func range(_ index: Int) -> Range<Int> { starts[index]..<min(starts[index] + length, count) }
    try PartNeed.hold(starts.count, needs: { [PartNeed(pager, regions(range($0)), .read)] }) { body(range($0)) }
  }

  /// The pass of a layer inside this one.
  /// - Parameters:
  ///   - input: what the inner layer gets, a row for each row of this pass.
  ///   - output: where its output goes, which its backward pass must find as it was where `LayerMemory.readsOutput` says so.
  ///   - saved: a part of this pass's saved memory, as long as the inner layer's `LayerMemory.saved`.
  ///   - scratch: a part of this pass's scratch memory, at least as long as its `LayerMemory.forwardScratch`.
  public func inner(
    input: Matrix, output: MutableMatrix, saved: MutableVector, scratch: MutableVector
  ) -> ForwardPass {
    ForwardPass(
      input: input, output: output, saved: saved, scratch: scratch, context: context, state: state, buffers: buffers,
      pager: pager)
  }
}

/// What a layer sees on the way back.
///
/// It reads activations and the state, and writes gradients. Only a `GradientTarget` writes to the state, and only that of the
/// parameter whose gradient is taken. The views are valid until `PlacedLayer.backward(_:)` returns, as in a `ForwardPass`.
public struct BackwardPass {
  /// What the layer got on the way forward: examples × input features. For a layer in place it is the memory of `output`.
  public let input: Matrix
  /// What the layer made of it: examples × output features.
  public let output: Matrix
  /// The gradient of the loss by `output`, in its shape. The layer may overwrite it.
  public let outputGradient: MutableMatrix
  /// Where the gradient of the loss by `input` goes, in its shape; nil where nobody needs it. For a layer in place it is the memory
  /// of `outputGradient`.
  public let inputGradient: MutableMatrix?
  /// What the forward pass left in its saved memory, `LayerMemory.saved` floats long.
  public let saved: Vector
  /// Memory whose contents are lost after the pass, at least `LayerMemory.backwardScratch` floats long.
  public let scratch: MutableVector
  public let context: PassContext
  let state: Vector
  /// That of the state; nil where all of it is in memory.
  let pager: Pager?
  let sink: GradientSink

  /// The tensor at `region` of the state, for reading. After `takeGradient(of:_:)` has taken its gradient, it may have changed.
  public func tensor(_ region: Region) -> Vector { state.part(region) }

  /// Takes the gradient of the parameter at `region`, which `add` adds to its target.
  public func takeGradient(of region: Region, _ add: (GradientTarget) -> Void) {
    sink.take(region, add)
  }

  /// Takes the gradient of one part of a parameter after the other, for parameters that are read in parts.
  /// - Parameters:
  ///   - rows: how many the parameter has, as a matrix.
  ///   - length: the most rows of a part.
  func takeGradients(
    of region: Region, rows: Int, inPartsOf length: Int, _ add: (_ rows: Range<Int>, GradientTarget) -> Void
  ) throws(PagingError) {
    func part(_ index: Int) -> Range<Int> { index * length..<min((index + 1) * length, rows) }
    func place(_ part: Range<Int>) -> Region {
      let columns = region.count / rows
      return Region(offset: region.offset + part.lowerBound * columns, count: part.count * columns)
    }
    let count = (rows + length - 1) / length
    guard pager != nil else {
      for index in 0..<count { sink.take(place(part(index))) { add(part(index), $0) } }
      return
    }
    try PartNeed.hold(count, needs: { sink.needs(of: place(part($0)), pager) }) { index in
      sink.take(place(part(index))) { add(part(index), $0) }
    }
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
    input: Matrix, output: Matrix, outputGradient: MutableMatrix, inputGradient: MutableMatrix?, saved: Vector,
    scratch: MutableVector
  ) -> BackwardPass {
    BackwardPass(
      input: input, output: output, outputGradient: outputGradient, inputGradient: inputGradient, saved: saved,
      scratch: scratch, context: context, state: state, pager: pager, sink: sink)
  }
}

/// Takes a gradient g as values ← keep · values + scale · g. With keep = 0, old values are not read.
public struct GradientTarget {
  /// As many floats as the parameter has, in its layout.
  public let values: MutableVector
  public let scale: Float
  public let keep: Float

  /// Adds the gradient `sum`, which is as long as `values`.
  public func add(_ sum: Vector) {
    values.assign(scale, times: sum, plus: keep)
  }

  /// Adds the gradient whose parts are the rows of `parts`, each as long as `values`, one after the other.
  public func add(parts: Matrix) {
    for row in 0..<parts.rows { values.assign(scale, times: parts[row: row], plus: row == 0 ? keep : 1) }
  }
}
