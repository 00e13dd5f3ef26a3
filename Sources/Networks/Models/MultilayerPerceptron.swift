extension ModelFamily {
  static let multilayerPerceptron = ModelFamily(
    name: "mlp", form: "mlp:WIDTH,… (hidden widths from 1 to 1000000, such as mlp:512,512)"
  ) { options in
    let words = options?.split(separator: ",", omittingEmptySubsequences: false) ?? []
    let widths = words.compactMap { Int($0) }.filter { (1...1_000_000).contains($0) }
    guard !words.isEmpty, widths.count == words.count else { return nil }
    return (nil, { _, outputs in perceptron(hidden: widths, outputs: outputs) })
  }

  /// One dense layer: softmax regression where the loss is cross-entropy, linear regression where it is the squared error.
  static let linear = ModelFamily(name: "linear", form: "linear") { options in
    options == nil ? (nil, { _, outputs in perceptron(hidden: [], outputs: outputs) }) : nil
  }

  /// Dense layers with ReLU between them: `nn.Sequential(nn.Linear(…), nn.ReLU(), …, nn.Linear(…))`.
  @LayerBuilder private static func perceptron(hidden: [Int], outputs: Int) -> [NamedLayer] {
    for width in hidden {
      Dense(width)
      ReLU()
    }
    Dense(outputs)
  }
}
