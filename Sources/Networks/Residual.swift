import Tensors

/// y = f(x) + g(x), and with `rectified` max(y, 0): the block of a residual network (He, Zhang, Ren, Sun 2016) or of a
/// transformer. f is a chain of layers; g is another, or the identity.
public struct Residual: Layer {
  public let main: [(name: String, layer: any Layer)]
  /// Empty for the identity.
  public let shortcut: [(name: String, layer: any Layer)]
  public let isRectified: Bool

  public init(
    _ main: [(name: String, layer: any Layer)], shortcut: [(name: String, layer: any Layer)] = [],
    rectified: Bool = false
  ) {
    self.main = main
    self.shortcut = shortcut
    isRectified = rectified
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    let main = try LayerChain(main, inputShape: inputShape, in: &builder)
    let shortcut = shortcut.isEmpty ? nil : try LayerChain(shortcut, inputShape: inputShape, in: &builder)
    let passed = shortcut?.outputShape ?? inputShape
    guard main.outputShape == passed else {
      throw .shape("a residual block adds outputs of shape \(main.outputShape) to a shortcut's of shape \(passed)")
    }
    guard !main.readsOutput else {
      throw .shape("the last layer of a residual block's main chain works in place; give the block rectified: true")
    }
    return PlacedResidual(
      main: main, shortcut: shortcut, isRectified: isRectified, isTrained: builder.isTrained,
      inputCount: inputShape.reduce(1, *) * builder.batchSize,
      outputCount: main.outputShape.reduce(1, *) * builder.batchSize)
  }
}

private struct PlacedResidual: PlacedLayer {
  let outputShape: [Int]
  let memory: LayerMemory
  private let main: LayerChain
  private let shortcut: LayerChain?
  private let isRectified: Bool
  /// In saved memory.
  private let mainSaved: Region
  private let shortcutSaved: Region
  private let shortcutOutput: Region
  /// In scratch memory on the way back.
  private let gradient: Region
  private let shortcutGradient: Region
  private let chainScratch: Region

  init(
    main: LayerChain, shortcut: LayerChain?, isRectified: Bool, isTrained: Bool, inputCount: Int, outputCount: Int
  ) {
    self.main = main
    self.shortcut = shortcut
    self.isRectified = isRectified
    outputShape = main.outputShape
    var saved = ArenaLayout()
    mainSaved = saved.reserve(main.savedCount)
    shortcutSaved = saved.reserve(shortcut?.savedCount ?? 0)
    shortcutOutput = saved.reserve(shortcut == nil ? 0 : outputCount)
    var scratch = ArenaLayout()
    gradient = scratch.reserve(isTrained ? outputCount : 0)
    shortcutGradient = scratch.reserve(isTrained && shortcut != nil ? inputCount : 0)
    chainScratch = scratch.reserve(max(main.backwardScratchCount, shortcut?.backwardScratchCount ?? 0))
    memory = LayerMemory(
      saved: saved.count, forwardScratch: max(main.forwardScratchCount, shortcut?.forwardScratchCount ?? 0),
      backwardScratch: scratch.count)
  }

  func forward(_ pass: ForwardPass) {
    let scratch = pass.scratch
    main.forward(
      pass.input,
      in: LayerChain.Memory(
        state: pass.state, saved: pass.saved.part(mainSaved), scratch: scratch, output: pass.output),
      context: pass.context)
    if let shortcut {
      let passed = shortcutMemory(pass.state, saved: pass.saved, scratch: scratch, like: pass.output)
      shortcut.forward(pass.input, in: passed, context: pass.context)
      pass.output.elements.add(passed.output.elements)
    } else {
      pass.output.elements.add(pass.input.elements)
    }
    if isRectified { pass.output.elements.rectify() }
  }

  /// ∂x = ∂x through f + ∂x through g.
  func backward(_ pass: BackwardPass) {
    if isRectified { pass.outputGradient.elements.keep(where: pass.output.elements) }
    let scratch = pass.scratch.part(chainScratch)
    // Both chains overwrite what they are given.
    let gradient = pass.scratch.part(gradient).matrix(rows: pass.output.rows, columns: pass.output.columns)
    gradient.elements.copy(from: pass.outputGradient.elements)
    main.backward(
      pass.input, outputGradient: gradient, inputGradient: pass.inputGradient, to: pass.sink,
      in: LayerChain.Memory(
        state: pass.state, saved: pass.saved.part(mainSaved), scratch: scratch, output: pass.output),
      context: pass.context)
    guard let shortcut else {
      pass.inputGradient?.elements.add(pass.outputGradient.elements)
      return
    }
    let inputGradient = pass.inputGradient.map {
      pass.scratch.part(shortcutGradient).matrix(rows: $0.rows, columns: $0.columns)
    }
    shortcut.backward(
      pass.input, outputGradient: pass.outputGradient, inputGradient: inputGradient, to: pass.sink,
      in: shortcutMemory(pass.state, saved: pass.saved, scratch: scratch, like: pass.output), context: pass.context)
    if let inputGradient { pass.inputGradient?.elements.add(inputGradient.elements) }
  }

  private func shortcutMemory(_ state: Vector, saved: Vector, scratch: Vector, like output: Matrix) -> LayerChain.Memory {
    LayerChain.Memory(
      state: state, saved: saved.part(shortcutSaved), scratch: scratch,
      output: saved.part(shortcutOutput).matrix(rows: output.rows, columns: output.columns))
  }
}
