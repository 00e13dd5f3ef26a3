/// A model's specification, such as `mlp:512,512`, before the data it is for are known.
///
/// Adding a model is a file with a `ModelFamily`, and its line in `families`.
public struct ModelSpecification: Sendable {
  public let text: String
  /// How many positions an example has for a model of sequences; nil for others.
  public let context: Int?
  private let build: ModelFamily.Build

  /// All that `init(_:)` reads.
  static let families: [ModelFamily] = [.multilayerPerceptron, .linear, .leNet, .resNet18, .resNet50, .gpt] + ModelFamily.gpt2

  /// What users can write, for help and messages.
  public static let forms = families.map(\.form).joined(separator: ", ")

  /// - Throws: `NetworkError.unreadable` when no model family has this form.
  public init(_ text: String) throws(NetworkError) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard let family = Self.families.first(where: { $0.name == parts.first }) else {
      throw .unreadable("no model is called '\(text)'; there are \(Self.forms)")
    }
    guard let (context, build) = family.read(parts.count == 2 ? parts[1] : nil) else {
      throw .unreadable("the model '\(text)' can't be read; write \(family.form)")
    }
    self.text = text
    self.context = context
    self.build = build
  }

  /// The model for examples of one shape.
  /// - Parameters:
  ///   - inputShape: the shape of one example, channels last.
  ///   - outputs: how many numbers it predicts, for each example or, as `gpt` does, for each position: a logit for each
  ///     class, or a value for each target.
  /// - Throws: `NetworkError.shape` when it can't take such examples.
  public func network(inputShape: [Int], outputs: Int) throws(NetworkError) -> Network {
    Network(input: inputShape, layers: try build(inputShape, outputs))
  }
}

/// A kind of model: how it is asked for, and its layers.
struct ModelFamily: Sendable {
  typealias Build = @Sendable (_ inputShape: [Int], _ outputs: Int) throws(NetworkError) -> [NamedLayer]

  /// What comes before the colon in a specification.
  let name: String
  /// How it is asked for, with an example.
  let form: String
  /// Reads what comes after the colon, nil if there is none. Returns nil when it makes no sense.
  let read: @Sendable (_ options: String?) -> (context: Int?, build: Build)?
}
