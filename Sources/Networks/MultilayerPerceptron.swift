extension NetworkDescription {
  /// Dense layers with ReLU between them: `nn.Sequential(nn.Linear(…), nn.ReLU(), …, nn.Linear(…))`.
  ///
  /// Without hidden layers it is softmax regression, `linear`.
  public static func multilayerPerceptron(hidden: [Int], inputShape: [Int], classCount: Int) -> NetworkDescription {
    let layers = hidden.flatMap { [Dense($0), ReLU()] as [any Layer] } + [Dense(classCount)]
    return NetworkDescription(
      name: hidden.isEmpty ? "linear" : "mlp:" + hidden.map(String.init).joined(separator: ","),
      inputShape: inputShape, classCount: classCount,
      layers: layers.enumerated().map { (name: String($0.offset), layer: $0.element) })
  }
}
