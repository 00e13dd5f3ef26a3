import Tensors

/// y[p, o] = Σ w[o, q] x[p + q] + b[o] over the places p of a window on the image and the places q in it:
/// `torch.nn.Conv2d`, with w outputs × channels × size × size in PyTorch.
public struct Convolution: Layer {
  public let channels: Int
  public let size: Int
  public let stride: Int
  public let padding: Int
  public let hasBias: Bool

  /// - Parameters:
  ///   - channels: channels of the output.
  ///   - size: height and width of the window.
  ///   - stride: how far apart its places are, down and across.
  ///   - padding: how many zeros are added on each of the four sides.
  public init(_ channels: Int, size: Int, stride: Int = 1, padding: Int = 0, bias: Bool = true) {
    self.channels = channels
    self.size = size
    self.stride = stride
    self.padding = padding
    hasBias = bias
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    guard channels > 0, let window = ImageWindow(imageShape: inputShape, size: size, stride: stride, padding: padding) else {
      throw .shape(
        """
        a convolution to \(channels) channels of size \(size) with padding \(padding) can't take examples of shape \(inputShape): it needs \
        images of height × width × channels, no smaller than its window, and 1 channel or more to make
        """)
    }
    return PlacedConvolution(
      window: window, channels: channels,
      weight: builder.add(
        "weight", shape: [channels, inputShape[2], size, size], storage: .inputsFirst(channels: inputShape[2]),
        initialization: .heNormal(fan: channels * size * size)),
      bias: hasBias ? builder.add("bias", shape: [channels], initialization: .constant(0)) : nil)
  }
}

private struct PlacedConvolution: PlacedLayer {
  let window: ImageWindow
  let channels: Int
  let weight: Region
  let bias: Region?

  var outputShape: [Int] { [window.outputHeight, window.outputWidth, channels] }

  var memory: LayerMemory {
    let scratch = window.convolutionScratchCount(channels: channels)
    return LayerMemory(forwardScratch: scratch, backwardScratch: scratch, readsOutput: false, overwritesGradient: false)
  }

  var batchParts: BatchParts {
    guard window.convolutionScratchCount(channels: channels) == 0 else {
      return .whole(because: "convolutions of 3 × 3 pixels sum up the transforms of their weights' gradients over the whole batch")
    }
    return .sums(rowsPerExample: window.placeCount)
  }
  var multiplyAdds: Double { Double(window.count) * outputShape.reduce(1) { $0 * Double($1) } }

  func forward(_ pass: ForwardPass) {
    window.convolve(
      pass.input, weights: pass.tensor(weight).matrix(rows: window.count, columns: channels),
      bias: bias.map { pass.tensor($0) }, into: pass.output, scratch: pass.scratch,
      products: pass.context.products)
  }

  func backward(_ pass: BackwardPass) {
    if let inputGradient = pass.inputGradient {
      window.convolutionGradient(
        pass.outputGradient.matrix, weights: pass.tensor(weight).matrix(rows: window.count, columns: channels),
        into: inputGradient, scratch: pass.scratch, products: pass.context.products)
    }
    pass.takeGradient(of: weight) { target in
      window.convolutionWeightsGradient(
        pass.input, outputGradient: pass.outputGradient.matrix,
        into: target.values.matrix(rows: window.count, columns: channels), alpha: target.scale, beta: target.keep,
        scratch: pass.scratch, products: pass.context.products)
    }
    guard let bias else { return }
    pass.takeGradient(of: bias) { target in
      pass.outputGradient.matrix.rearranged(columns: channels)
        .addColumnSums(scaledBy: target.scale, to: target.values, keeping: target.keep)
    }
  }
}
