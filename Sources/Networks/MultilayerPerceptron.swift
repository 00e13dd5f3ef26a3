extension ModelFamily {
  static let multilayerPerceptron = ModelFamily(
    name: "mlp", form: "mlp:WIDTH,… (hidden widths from 1 to 1000000, such as mlp:512,512)"
  ) { options in
    let words = options?.split(separator: ",", omittingEmptySubsequences: false) ?? []
    let widths = words.compactMap { Int($0) }.filter { (1...1_000_000).contains($0) }
    guard !words.isEmpty, widths.count == words.count else { return nil }
    return (nil, { _, classCount in perceptron(hidden: widths, classCount: classCount) })
  }

  /// Softmax regression.
  static let linear = ModelFamily(name: "linear", form: "linear") { options in
    options == nil ? (nil, { _, classCount in perceptron(hidden: [], classCount: classCount) }) : nil
  }

  /// Dense layers with ReLU between them: `nn.Sequential(nn.Linear(…), nn.ReLU(), …, nn.Linear(…))`.
  private static func perceptron(hidden: [Int], classCount: Int) -> [(name: String, layer: any Layer)] {
    let layers = hidden.flatMap { [Dense($0), ReLU()] as [any Layer] } + [Dense(classCount)]
    return layers.enumerated().map { (name: String($0.offset), layer: $0.element) }
  }
}
