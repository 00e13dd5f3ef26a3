/// A layer in a list of layers, with the name that the names of its tensors begin with.
public struct NamedLayer: Sendable {
  /// The name; nil where the layer is named by its place in the list, counted from 0, as in PyTorch's `Sequential`.
  public let name: String?
  public let layer: any Layer

  public init(_ layer: any Layer, name: String? = nil) {
    self.name = name
    self.layer = layer
  }
}

extension Layer {
  /// The layer under a name of its own: `Dense(10).named("fc")` has the tensors `fc.weight` and `fc.bias`. An empty name
  /// leaves its tensors' names as they are.
  public func named(_ name: String) -> NamedLayer { NamedLayer(self, name: name) }
}

/// Collects layers as they are written one below the other, with `if`, `for` and arrays of layers between them.
///
///     Network(input: [8, 8, 1]) {
///       for width in [64, 32] {
///         Dense(width)
///         ReLU()
///       }
///       Dense(1)
///     }
@resultBuilder public enum LayerBuilder {
  public static func buildExpression(_ layer: any Layer) -> [NamedLayer] { [NamedLayer(layer)] }
  public static func buildExpression(_ layer: NamedLayer) -> [NamedLayer] { [layer] }
  public static func buildExpression(_ layers: [any Layer]) -> [NamedLayer] { layers.map { NamedLayer($0) } }
  public static func buildExpression(_ layers: [NamedLayer]) -> [NamedLayer] { layers }
  public static func buildBlock(_ parts: [NamedLayer]...) -> [NamedLayer] { parts.flatMap(\.self) }
  public static func buildOptional(_ part: [NamedLayer]?) -> [NamedLayer] { part ?? [] }
  public static func buildEither(first part: [NamedLayer]) -> [NamedLayer] { part }
  public static func buildEither(second part: [NamedLayer]) -> [NamedLayer] { part }
  public static func buildArray(_ parts: [[NamedLayer]]) -> [NamedLayer] { parts.flatMap(\.self) }
}
