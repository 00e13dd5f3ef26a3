import Tensors

/// y = f(x) + g(x), and with `rectified` max(y, 0): the block of a residual network (He, Zhang, Ren, Sun 2016) or of a
/// transformer. f is a sequence of layers; g is another, or the identity.
///
///     Residual(rectified: true) {
///       Convolution(64, size: 3, padding: 1).named("conv1")
///       ReLU()
///       Convolution(64, size: 3, padding: 1).named("conv2")
///     }
public struct Residual: Layer {
  /// The layers of f.
  public let main: [NamedLayer]
  /// The layers of g; empty for the identity.
  public let shortcut: [NamedLayer]
  public let isRectified: Bool

  public init(
    rectified: Bool = false, @LayerBuilder main: () -> [NamedLayer], @LayerBuilder shortcut: () -> [NamedLayer] = { [] }
  ) {
    self.init(main(), shortcut: shortcut(), rectified: rectified)
  }

  public init(_ main: [NamedLayer], shortcut: [NamedLayer] = [], rectified: Bool = false) {
    self.main = main
    self.shortcut = shortcut
    isRectified = rectified
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    let main = try builder.place(Sequential(main), inputShape: inputShape)
    let shortcut = shortcut.isEmpty ? nil : try builder.place(Sequential(shortcut), inputShape: inputShape)
    try Self.check(main.outputShape, shortcut: shortcut?.outputShape ?? inputShape)
    return PlacedResidual(
      main: main, shortcut: shortcut, isRectified: isRectified, isTrained: builder.isTrained,
      inputCount: inputShape.reduce(1, *) * builder.batchSize,
      outputCount: main.outputShape.reduce(1, *) * builder.batchSize)
  }

  static func check(_ main: [Int], shortcut: [Int]) throws(NetworkError) {
    guard main == shortcut else {
      throw .shape("a residual block adds outputs of shape \(main) to a shortcut's of shape \(shortcut)")
    }
  }
}

private struct PlacedResidual: PlacedLayer {
  let outputShape: [Int]
  let memory: LayerMemory
  var batchParts: BatchParts { shortcut.map { main.batchParts.and($0.batchParts) } ?? main.batchParts }
  private let main: any PlacedLayer
  private let shortcut: (any PlacedLayer)?
  private let isRectified: Bool
  /// Places in saved memory. The sum takes the place of main's output where main's backward pass does not read it.
  private let mainSaved: Region
  private let mainOutput: Region?
  private let shortcutSaved: Region
  private let shortcutOutput: Region
  /// Places in scratch memory on the way back.
  private let gradient: Region
  private let shortcutGradient: Region
  private let innerScratch: Region

  init(
    main: any PlacedLayer, shortcut: (any PlacedLayer)?, isRectified: Bool, isTrained: Bool, inputCount: Int,
    outputCount: Int
  ) {
    self.main = main
    self.shortcut = shortcut
    self.isRectified = isRectified
    outputShape = main.outputShape
    let (mainMemory, shortcutMemory) = (main.memory, shortcut?.memory ?? LayerMemory())
    var saved = ArenaLayout()
    mainSaved = saved.reserve(mainMemory.saved)
    mainOutput = mainMemory.readsOutput && isTrained ? saved.reserve(outputCount) : nil
    shortcutSaved = saved.reserve(shortcutMemory.saved)
    shortcutOutput = saved.reserve(shortcut == nil ? 0 : outputCount)
    var scratch = ArenaLayout()
    gradient = scratch.reserve(isTrained ? outputCount : 0)
    shortcutGradient = scratch.reserve(isTrained && shortcut != nil ? inputCount : 0)
    innerScratch = scratch.reserve(max(mainMemory.backwardScratch, shortcutMemory.backwardScratch))
    memory = LayerMemory(
      saved: saved.count, forwardScratch: max(mainMemory.forwardScratch, shortcutMemory.forwardScratch),
      backwardScratch: scratch.count, readsOutput: isRectified)
  }

  var multiplyAdds: Double { main.multiplyAdds + (shortcut?.multiplyAdds ?? 0) }

  func forward(_ pass: ForwardPass) throws(PagingError) {
    let (rows, columns) = (pass.output.rows, pass.output.columns)
    let mainOutput = mainOutput.map { pass.saved.part($0).matrix(rows: rows, columns: columns) } ?? pass.output
    try main.forward(
      pass.inner(input: pass.input, output: mainOutput, saved: pass.saved.part(mainSaved), scratch: pass.scratch))
    if self.mainOutput != nil { pass.output.elements.copy(from: mainOutput.elements.vector) }
    if let shortcut {
      let passed = pass.saved.part(shortcutOutput).matrix(rows: rows, columns: columns)
      try shortcut.forward(
        pass.inner(input: pass.input, output: passed, saved: pass.saved.part(shortcutSaved), scratch: pass.scratch))
      pass.output.elements.add(passed.elements.vector)
    } else {
      pass.output.elements.add(pass.input.elements)
    }
    if isRectified { pass.output.elements.rectify() }
  }

  /// ∂x = ∂x through f + ∂x through g.
  func backward(_ pass: BackwardPass) throws(PagingError) {
    if isRectified { pass.outputGradient.elements.keep(where: pass.output.elements) }
    let scratch = pass.scratch.part(innerScratch)
    let (rows, columns) = (pass.output.rows, pass.output.columns)
    // Both parts overwrite what they are given.
    let gradient = pass.scratch.part(gradient).matrix(rows: rows, columns: columns)
    gradient.elements.copy(from: pass.outputGradient.elements.vector)
    try main.backward(
      pass.inner(
        input: pass.input,
        output: mainOutput.map { pass.saved.part($0).matrix(rows: rows, columns: columns) } ?? pass.output,
        outputGradient: gradient, inputGradient: pass.inputGradient, saved: pass.saved.part(mainSaved), scratch: scratch))
    guard let shortcut else {
      pass.inputGradient?.elements.add(pass.outputGradient.elements.vector)
      return
    }
    let inputGradient = pass.inputGradient.map {
      pass.scratch.part(shortcutGradient).matrix(rows: $0.rows, columns: $0.columns)
    }
    try shortcut.backward(
      pass.inner(
        input: pass.input, output: pass.saved.part(shortcutOutput).matrix(rows: rows, columns: columns),
        outputGradient: pass.outputGradient, inputGradient: inputGradient, saved: pass.saved.part(shortcutSaved), scratch: scratch))
    if let inputGradient { pass.inputGradient?.elements.add(inputGradient.elements.vector) }
  }
}
