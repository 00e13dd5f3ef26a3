/// Layers one after the other for inputs of one shape: what is trained, before it is compiled.
///
///     let network = Network(input: [8, 8, 1]) {
///       Dense(32)
///       ReLU()
///       Dense(1)
///     }
///
/// Its tensors are named as in PyTorch's `nn.Sequential` of the same layers, `0.weight`, `0.bias`, `2.weight` and so on,
/// or as `named(_:)` says.
public struct Network: Sendable {
  /// The shape of one example, channels last.
  public let inputShape: [Int]
  public let layers: [NamedLayer]

  /// - Parameters:
  ///   - inputShape: the shape of one example, channels last: [features], [positions, channels] or
  ///     [height, width, channels].
  ///   - layers: what stands in the braces, first to last.
  public init(input inputShape: [Int], @LayerBuilder layers: () -> [NamedLayer]) {
    self.init(input: inputShape, layers: layers())
  }

  public init(input inputShape: [Int], layers: [NamedLayer]) {
    self.inputShape = inputShape
    self.layers = layers
  }
}
