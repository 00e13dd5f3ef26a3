import Tensors

/// The mean of each channel in each window, padding counted as zeros: `torch.nn.AvgPool2d`.
public struct AveragePooling: Layer {
  public let size: Int
  public let stride: Int
  public let padding: Int

  /// - Parameters:
  ///   - size: height and width of the window.
  ///   - stride: how far apart its places are, down and across; by default the window's size.
  ///   - padding: how many zeros are added on each of the four sides, at most half the size.
  public init(_ size: Int, stride: Int? = nil, padding: Int = 0) {
    self.size = size
    self.stride = stride ?? size
    self.padding = padding
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    PlacedAveragePooling(
      window: try poolingWindow(inputShape, size: size, stride: stride, padding: padding))
  }
}

private struct PlacedAveragePooling: PlacedLayer {
  let window: ImageWindow
  var outputShape: [Int] { window.pooledShape }
  var memory: LayerMemory { LayerMemory(readsInput: false, readsOutput: false, overwritesGradient: false) }
  var batchParts: BatchParts { .any }

  func forward(_ pass: ForwardPass) { window.mean(pass.input, into: pass.output) }

  func backward(_ pass: BackwardPass) {
    guard let inputGradient = pass.inputGradient else { return }
    window.meanGradient(outputGradient: pass.outputGradient.matrix, into: inputGradient)
  }
}
