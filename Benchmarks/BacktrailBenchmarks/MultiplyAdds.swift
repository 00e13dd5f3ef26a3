import Networks

extension Network {
  /// Multiply-adds of one example's update with direct sums: those of a forward pass, as many for the gradient by each
  /// layer's input and as many for that by its weights. Nobody needs the gradient by the network's input.
  func multiplyAddsOfUpdate() throws -> Int {
    let forward = try countMultiplyAdds(of: layers, inputShape: inputShape).count
    let first = try countMultiplyAdds(of: Array(layers.prefix(1)), inputShape: inputShape).count
    return 3 * forward - first
  }
}

/// Multiply-adds of an example's forward pass, and the shape that comes out. Loops that are not products count nothing.
private func countMultiplyAdds(
  of layers: [NamedLayer], inputShape: [Int]
) throws -> (count: Int, shape: [Int]) {
  var builder = NetworkBuilder(batchSize: 1)
  var (count, shape) = (0, inputShape)
  for layer in layers.map(\.layer) {
    let output = try layer.placed(inputShape: shape, in: &builder).outputShape
    let (inputs, outputs) = (shape.reduce(1, *), output.reduce(1, *))
    switch layer {
    case let dense as Dense:
      count += dense.isPerPosition ? outputs * (shape.last ?? 0) : outputs * inputs
    case let convolution as Convolution:
      count += outputs * convolution.size * convolution.size * (shape.last ?? 0)
    case is CausalSelfAttention:
      // Two products with the half of the positions' square that is not masked.
      count += shape[0] * outputs
    case let block as Residual:
      count += try countMultiplyAdds(of: block.main, inputShape: shape).count
      count += try countMultiplyAdds(of: block.shortcut, inputShape: shape).count
    default:
      break
    }
    shape = output
  }
  return (count, shape)
}
