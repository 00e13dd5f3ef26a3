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
  /// The gradients of parameters that two layers share; nil where none do.
  let tied: TiedGradients?

  /// Takes the gradient of a parameter, or of a part of one.
  func take(_ region: Region, _ add: (GradientTarget) -> Void) {
    if let tied, let sum = tied.part(region) {
      add(GradientTarget(values: sum, scale: 1, keep: tied.isLast ? 1 : 0))
      if tied.isLast { finish(sum, of: region) }
      return
    }
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
      needs.append(PartNeed(pager, [place], tied.isLast ? .read : .overwrite))
    }
    guard let pager else { return needs }
    if let tied, tied.part(region) != nil, !tied.isLast {
      needs.append(PartNeed(pager, [region], .read))
    } else if case .step(let step, _, _) = destination {
      needs.append(PartNeed(pager, step.regions(of: region), .change))
    } else {
      needs.append(PartNeed(pager, [region], .change))
    }
    return needs
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
