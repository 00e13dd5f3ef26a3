import Tensors

/// The largest value of each channel in each window: `torch.nn.MaxPool2d`. Of equals, the first takes the gradient.
public struct MaxPooling: Layer {
  public let size: Int
  public let stride: Int
  public let padding: Int

  /// - Parameters:
  ///   - size: height and width of the window.
  ///   - stride: how far apart its places are, down and across; by default the window's size.
  ///   - padding: how much is added on each of the four sides, at most half the size.
  public init(_ size: Int, stride: Int? = nil, padding: Int = 0) {
    self.size = size
    self.stride = stride ?? size
    self.padding = padding
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    PlacedMaxPooling(
      window: try poolingWindow(inputShape, size: size, stride: stride, padding: padding))
  }
}

private struct PlacedMaxPooling: PlacedLayer {
  let window: ImageWindow
  var outputShape: [Int] { window.pooledShape }
  var memory: LayerMemory { LayerMemory(readsOutput: false, overwritesGradient: false) }
  var batchParts: BatchParts { .any }

  func forward(_ pass: ForwardPass) { window.maximum(pass.input, into: pass.output) }

  func backward(_ pass: BackwardPass) {
    guard let inputGradient = pass.inputGradient else { return }
    window.maximumGradient(pass.input, outputGradient: pass.outputGradient.matrix, into: inputGradient)
  }
}
