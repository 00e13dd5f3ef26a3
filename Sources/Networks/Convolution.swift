import Tensors

/// y[p, o] = Σ w[o, q] x[p + q] + b[o] over the places p of a window on the image and the places q in it:
/// `torch.nn.Conv2d`, with w outputs × channels × size × size in PyTorch.
///
/// The windows of some places at a time become rows of a matrix (im2col; Chellapilla, Puri, Simard 2006), which matrix
/// products take on: never more than `tileCount` floats or `leastTileRows` rows of them.
public struct Convolution: Layer {
  public let channels: Int
  public let size: Int
  public let stride: Int
  public let padding: Int
  public let hasBias: Bool

  /// - Parameter channels: of the output.
  public init(_ channels: Int, size: Int, stride: Int = 1, padding: Int = 0, bias: Bool = true) {
    self.channels = channels
    self.size = size
    self.stride = stride
    self.padding = padding
    hasBias = bias
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    guard let window = ImageWindow(imageShape: inputShape, size: size, stride: stride, padding: padding) else {
      throw .shape(
        """
        a convolution of size \(size) with padding \(padding) can't take examples of shape \(inputShape): it needs \
        images of height × width × channels, no smaller than its window
        """)
    }
    return PlacedConvolution(
      window: window, channels: channels, isPointwise: size == 1 && stride == 1 && padding == 0,
      largestRows: window.placeCount * builder.batchSize,
      weight: builder.add(
        "weight", shape: [channels, inputShape[2], size, size], storage: .channelsLast(channels: inputShape[2]),
        initialization: .heNormal(fan: channels * size * size)),
      bias: hasBias ? builder.add("bias", shape: [channels], initialization: .constant(0)) : nil)
  }
}

private struct PlacedConvolution: PlacedLayer {
  let window: ImageWindow
  let channels: Int
  /// Whether a window is one pixel, so that images are rows of windows already.
  let isPointwise: Bool
  /// Places in a full batch.
  let largestRows: Int
  let weight: Region
  let bias: Region?

  /// A tile's floats: half of a usual core's own cache.
  private static let tileCount = 1 << 17
  /// With fewer rows, products would spend their time on arranging the weights.
  private static let leastTileRows = 96

  private var tileRows: Int { min(largestRows, max(Self.leastTileRows, Self.tileCount / window.count)) }

  var outputShape: [Int] { [window.outputHeight, window.outputWidth, channels] }

  var memory: LayerMemory {
    let tile = isPointwise ? 0 : tileRows * window.count
    return LayerMemory(forwardScratch: tile, backwardScratch: tile)
  }

  func forward(_ pass: ForwardPass) {
    let output = pass.output.rearranged(columns: channels)
    let weight = pass.tensor(weight).matrix(rows: channels, columns: window.count)
    if let bias { output.fillRows(with: pass.tensor(bias)) }
    forEachTile(of: pass.input, scratch: pass.scratch) { tile, places in
      BLAS.multiply(
        tile, by: weight, byTransposed: true, into: output.rows(places), beta: bias == nil ? 0 : 1)
    }
  }

  /// ∂x: the windows' gradients ∂y w, added up where windows overlap. Then ∂w = Σ ∂yᵀ x and ∂b = Σ ∂y over all places.
  func backward(_ pass: BackwardPass) {
    let outputGradient = pass.outputGradient.rearranged(columns: channels)
    if let inputGradient = pass.inputGradient {
      let weight = pass.tensor(weight).matrix(rows: channels, columns: window.count)
      if isPointwise {
        BLAS.multiply(outputGradient, by: weight, into: inputGradient.rearranged(columns: window.count))
      } else {
        inputGradient.elements.fill(0)
        for places in tiles(count: outputGradient.rows) {
          let tile = pass.scratch.matrix(rows: places.count, columns: window.count)
          BLAS.multiply(outputGradient.rows(places), by: weight, into: tile)
          window.scatter(tile, places: places, into: inputGradient)
        }
      }
    }
    pass.takeGradient(of: weight) { target in
      let gradient = target.values.matrix(rows: channels, columns: window.count)
      forEachTile(of: pass.input, scratch: pass.scratch) { tile, places in
        BLAS.multiply(
          outputGradient.rows(places), transposed: true, by: tile, into: gradient, alpha: target.scale,
          beta: places.lowerBound == 0 ? target.keep : 1)
      }
    }
    guard let bias else { return }
    pass.takeGradient(of: bias) { target in
      outputGradient.addColumnSums(scaledBy: target.scale, to: target.values, keeping: target.keep)
    }
  }

  private func tiles(count: Int) -> some Sequence<Range<Int>> {
    stride(from: 0, to: count, by: tileRows).lazy.map { [tileRows] in $0..<min($0 + tileRows, count) }
  }

  /// Calls `body` with the windows of some places at a time.
  private func forEachTile(of input: Matrix, scratch: Vector, _ body: (Matrix, Range<Int>) -> Void) {
    let count = input.rows * window.placeCount
    if isPointwise {
      body(input.rearranged(columns: window.count), 0..<count)
      return
    }
    for places in tiles(count: count) {
      let tile = scratch.matrix(rows: places.count, columns: window.count)
      window.gather(input, places: places, into: tile)
      body(tile, places)
    }
  }
}
