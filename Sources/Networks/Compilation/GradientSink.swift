import Tensors

/// Where the gradients of a backward pass go.
struct GradientSink {
  enum Destination {
    /// They go to a buffer laid out like the state, or to the state itself: with keep = 1 and scale = −η that is plain SGD's
    /// update, and no gradient is ever stored (Lv et al. 2023, "Full parameter fine-tuning for large language models
    /// with limited resources").
    case accumulate(in: MutableVector, scale: Float, keep: Float)
    /// They go to the optimizer, those of one parameter at a time, each in the same scratch memory.
    case step(OptimizerStep, state: MutableVector, scratch: MutableVector)
  }

  let destination: Destination
  /// The sums over micro-batches; nil where the batch is whole.
  let sums: GradientSums?
  /// The gradients of parameters that two layers share; nil where none do.
  let tied: TiedGradients?

  /// Takes the gradient of a parameter, or of a part of one.
  func take(_ region: Region, _ add: (GradientTarget) -> Void) {
    if let tied, let sum = tied.part(region) {
      add(GradientTarget(values: sum, scale: 1, keep: tied.isBegun ? 1 : 0))
      if tied.isLast { finish(sum, of: region) }
      return
    }
    if let sums { return sums.take(region, add, to: destination) }
    switch destination {
    case .accumulate(let buffer, let scale, let keep):
      add(GradientTarget(values: buffer.part(region), scale: scale, keep: keep))
    case .step(let step, let state, let scratch):
      let gradient = scratch.part(Region(offset: 0, count: region.count))
      add(GradientTarget(values: gradient, scale: 1, keep: 0))
      step.apply(gradient, to: region, of: state)
    }
  }

  private func finish(_ gradient: MutableVector, of region: Region) {
    switch destination {
    case .accumulate(let buffer, let scale, let keep): buffer.part(region).assign(scale, times: gradient.vector, plus: keep)
    case .step(let step, let state, _): step.apply(gradient, to: region, of: state)
    }
  }

  /// What `take` reads and writes of paged buffers.
  func needs(of region: Region, _ pager: Pager?) -> [PartNeed] {
    var needs: [PartNeed] = []
    if let tied, let pager = tied.pager, let place = tied.place(region) {
      needs.append(PartNeed(pager, [place], tied.isLast ? .read : tied.isBegun ? .change : .overwrite))
    } else if let sums, let pager = sums.pager {
      needs.append(PartNeed(pager, [sums.place(region)], sums.part.isFirst ? .overwrite : .change))
    }
    guard let pager else { return needs }
    let changesLater = tied?.place(region) != nil ? tied?.isLast == false : sums?.part.isLast == false
    if changesLater {
      needs.append(PartNeed(pager, [region], .read))
    } else if case .step(let step, _, _) = destination {
      needs.append(PartNeed(pager, step.regions(of: region), .change))
    } else {
      needs.append(PartNeed(pager, [region], .change))
    }
    return needs
  }
}

/// The sums of gradients over the micro-batches of a batch, until the last one has added its own.
///
/// Plain SGD updates a parameter in place, one block of rows after the other. So its sum is a copy of the parameter, which takes all that
/// the parameter would have taken, in the same order, while passes go on with the old one.
struct GradientSums {
  /// The sums, laid out like the network's tensors from `origin` on.
  let buffer: MutableVector
  let origin: Int
  /// That of `buffer`; nil where all of it is in memory.
  let pager: Pager?
  let part: MicroBatch
  /// Whether `buffer` is where gradients go in the end.
  var isDestination = false

  /// The place in `buffer` of what is summed up for a parameter, or for a part of one.
  func place(_ region: Region) -> Region { Region(offset: region.offset - origin, count: region.count) }

  func take(_ region: Region, _ add: (GradientTarget) -> Void, to destination: GradientSink.Destination) {
    let sum = buffer.part(place(region))
    switch destination {
    case .accumulate(let buffer, let scale, let keep):
      if part.isFirst, keep != 0, !isDestination { sum.copy(from: buffer.part(region).vector) }
      add(GradientTarget(values: sum, scale: scale, keep: part.isFirst ? keep : 1))
      if part.isLast, !isDestination { buffer.part(region).copy(from: sum.vector) }
    case .step(let step, let state, _):
      add(GradientTarget(values: sum, scale: 1, keep: part.isFirst ? 0 : 1))
      if part.isLast { step.apply(sum, to: region, of: state) }
    }
  }
}

/// The gradients of parameters that two layers share, between the backward passes of the two.
struct TiedGradients {
  /// The parameters, in the order in which their gradients lie in `buffer`.
  let parameters: [Region]
  let buffer: MutableVector
  /// That of `buffer`; nil where all of it is in memory.
  let pager: Pager?
  /// Whether the layer that goes back is the second of the two, after which the gradient is complete.
  let isLast: Bool
  /// Whether `buffer` holds a part of the gradient already.
  let isBegun: Bool

  /// The place in `buffer` of the gradient of a parameter's part; nil for parameters that are not shared.
  func place(_ region: Region) -> Region? {
    var start = 0
    for parameter in parameters {
      if region.offset >= parameter.offset, region.end <= parameter.end {
        return Region(offset: start + region.offset - parameter.offset, count: region.count)
      }
      start += parameter.count
    }
    return nil
  }

  func part(_ region: Region) -> MutableVector? { place(region).map { buffer.part($0) } }
}
