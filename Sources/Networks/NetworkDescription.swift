/// A model before it is compiled: named layers for inputs of one shape.
public struct NetworkDescription: Sendable {
  /// The specification that gives this model, such as `mlp:128`.
  public let name: String
  /// The shape of one example, channels last.
  public let inputShape: [Int]
  public let classCount: Int
  /// Each with its name in the equivalent PyTorch module.
  public let layers: [(name: String, layer: any Layer)]

  public init(name: String, inputShape: [Int], classCount: Int, layers: [(name: String, layer: any Layer)]) {
    self.name = name
    self.inputShape = inputShape
    self.classCount = classCount
    self.layers = layers
  }
}
