import Foundation

/// A multilayer perceptron in double precision, written to be simple: the independent reference for gradients and
/// updates. Weights have the shape outputs × inputs, row-major.
public struct DoublePerceptron {
  public struct Dense {
    public var weight: [[Double]]
    public var bias: [Double]

    public init(weight: [[Double]], bias: [Double]) {
      self.weight = weight
      self.bias = bias
    }
  }

  public var layers: [Dense]

  public init(layers: [Dense]) {
    self.layers = layers
  }

  /// Makes a perceptron from flat row-major weights and biases in the order of a state.
  public init(tensors: [(shape: [Int], values: [Float])]) {
    layers = stride(from: 0, to: tensors.count, by: 2).map { index in
      let (outputs, inputs) = (tensors[index].shape[0], tensors[index].shape[1])
      let flat = tensors[index].values.map(Double.init)
      return Dense(
        weight: (0..<outputs).map { Array(flat[$0 * inputs..<($0 + 1) * inputs]) },
        bias: tensors[index + 1].values.map(Double.init))
    }
  }

  /// All weights and biases in the order of a state.
  public var parameters: [Double] { layers.flatMap { $0.weight.flatMap { $0 } + $0.bias } }

  /// The activations of every layer, from the input to the logits.
  func activations(_ input: [Double]) -> [[Double]] {
    var all = [input]
    for (index, layer) in layers.enumerated() {
      let x = all[index]
      var y = zip(layer.weight, layer.bias).map { row, bias in zip(row, x).reduce(bias) { $0 + $1.0 * $1.1 } }
      if index < layers.count - 1 { y = y.map { max($0, 0) } }
      all.append(y)
    }
    return all
  }

  /// The mean cross-entropy.
  public func loss(_ inputs: [[Double]], _ labels: [Int]) -> Double {
    zip(inputs, labels).reduce(0) { sum, example in
      let logits = activations(example.0)[layers.count]
      return sum + log(logits.reduce(0) { $0 + exp($1) }) - logits[example.1]
    } / Double(inputs.count)
  }

  /// θ ← θ − η ∇L(θ), by the chain rule, one example at a time.
  public mutating func descend(_ inputs: [[Double]], _ labels: [Int], learningRate: Double) {
    var updated = layers
    for (input, label) in zip(inputs, labels) {
      let all = activations(input)
      let exponentials = all[layers.count].map { exp($0) }
      let total = exponentials.reduce(0, +)
      var gradient = exponentials.map { $0 / total }
      gradient[label] -= 1
      for index in layers.indices.reversed() {
        let x = all[index]
        for (o, g) in gradient.enumerated() {
          for i in x.indices { updated[index].weight[o][i] -= learningRate * g * x[i] / Double(inputs.count) }
          updated[index].bias[o] -= learningRate * g / Double(inputs.count)
        }
        gradient = x.indices.map { i in
          let back = gradient.indices.reduce(0.0) { $0 + gradient[$1] * layers[index].weight[$1][i] }
          return x[i] > 0 ? back : 0
        }
      }
    }
    layers = updated
  }
}
