import Tensors

/// y = max(x, 0), in place: `torch.nn.ReLU`.
public struct ReLU: Layer {
  public init() {}

  public func outputShape(for inputShape: [Int]) -> [Int] { inputShape }

  public func memory(inputShape: [Int], batchSize: Int) -> LayerMemory { LayerMemory(isInPlace: true) }

  public func forward(_ pass: ForwardPass) {
    pass.output.elements.rectify()
  }

  /// ∂x = ∂y where y > 0, else 0.
  public func backward(_ pass: BackwardPass) {
    pass.inputGradient?.elements.keep(where: pass.output.elements)
  }
}
