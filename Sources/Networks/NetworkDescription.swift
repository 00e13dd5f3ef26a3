/// A model before it is compiled: named layers for inputs of one shape.
public struct NetworkDescription: Sendable {
  /// The specification that gives this model, such as `mlp:128`.
  public let name: String
  /// The shape of one example, channels first.
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

  /// The specifications `init(_:inputShape:classCount:)` reads.
  public static let forms = "mlp:WIDTH,… (hidden widths, such as mlp:512,512) and linear"

  /// Reads a specification such as `mlp:512,512` or `linear`.
  public init(_ specification: String, inputShape: [Int], classCount: Int) throws(NetworkError) {
    let parts = specification.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    switch (String(parts.first ?? ""), parts.count) {
    case ("linear", 1):
      self = .multilayerPerceptron(hidden: [], inputShape: inputShape, classCount: classCount)
    case ("mlp", _):
      let words = parts.count == 2 ? parts[1].split(separator: ",", omittingEmptySubsequences: false) : []
      let widths = words.compactMap { Int($0) }.filter { (1...1_000_000).contains($0) }
      guard !words.isEmpty, widths.count == words.count else { throw .unreadableWidths(specification) }
      self = .multilayerPerceptron(hidden: widths, inputShape: inputShape, classCount: classCount)
    default:
      throw .unknownModel(specification)
    }
  }
}
