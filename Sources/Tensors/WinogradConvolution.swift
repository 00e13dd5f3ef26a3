import CKernels

/// A convolution with a window of 3 × 3 and a stride of 1 by Winograd's F(4 × 4, 3 × 3), which takes a quarter of the
/// multiplications, for shapes where that pays. Its rounding error is about twice that of a direct sum.
///
/// Images are taken in blocks of tiles, so that a block's transforms stay in cache. Bits depend neither on the number of
/// threads nor on the other images of the batch.
struct WinogradConvolution {
  private let geometry: ck_window
  private let outputChannels: Int

  private static let planes = Int(CK_WINOGRAD_PLANES)
  /// Tiles in a block: few enough for their transforms and those of the weights to stay in cache, and enough for reading the
  /// latter not to be what takes the time.
  private static let block = 36
  /// The least number of places that an image must have: with fewer, transforming the weights costs more than is saved.
  private static let leastPlaces = 64
  /// Floats between planes, so that they do not lie at distances that are multiples of a large power of 2: of such lines, caches
  /// keep only a few.
  private static let gap = 16

  /// - Returns: nil where another way is faster, or the window has another shape.
  init?(_ window: ImageWindow, outputChannels: Int) {
    let geometry = window.geometry
    guard geometry.size == 3, geometry.stride == 1, geometry.padding <= 2,
      Self.isHandled(geometry.channels), Self.isHandled(outputChannels),
      window.placeCount >= Self.leastPlaces,
      window.placeCount >= 8 * withUnsafePointer(to: geometry, { ck_winograd_tiles($0) })
    else { return nil }
    self.init(geometry: geometry, outputChannels: outputChannels)
  }

  private init(geometry: ck_window, outputChannels: Int) {
    self.geometry = geometry
    self.outputChannels = outputChannels
  }

  private static func isHandled(_ channels: Int) -> Bool { channels % 16 == 0 && (16...512).contains(channels) }

  /// The convolution that maps the gradient by the outputs to the one by the images.
  var adjoint: WinogradConvolution {
    WinogradConvolution(
      geometry: ck_window(
        height: geometry.out_height, width: geometry.out_width, channels: outputChannels, size: 3, stride: 1,
        padding: 2 - geometry.padding, out_height: geometry.height, out_width: geometry.width),
      outputChannels: geometry.channels)
  }

  private var inputChannels: Int { geometry.channels }
  private var weightPlane: Int { inputChannels * outputChannels + Self.gap }
  private var imagePlane: Int { Self.block * inputChannels + Self.gap }
  private var outputPlane: Int { Self.block * outputChannels + Self.gap }

  /// Length of the scratch memory, in floats.
  var scratchCount: Int { Self.planes * (weightPlane + imagePlane + outputPlane) }

  /// Where in `scratch` the transforms of the weights, of a block of images and of their products begin.
  private func split(_ scratch: MutableVector) -> (
    weights: UnsafeMutablePointer<Float>, images: UnsafeMutablePointer<Float>, outputs: UnsafeMutablePointer<Float>
  ) {
    precondition(scratch.count >= scratchCount, "too little scratch memory")
    let images = scratch.base + Self.planes * weightPlane
    return (scratch.base, images, images + Self.planes * imagePlane)
  }

  /// Calls `body` with the first tile and the number of tiles of each block.
  private func forBlocks(of examples: Int, _ body: (Int, Int) -> Void) {
    let count = examples * withUnsafePointer(to: geometry) { ck_winograd_tiles($0) }
    for first in stride(from: 0, to: count, by: Self.block) { body(first, min(Self.block, count - first)) }
  }

  private func share(
    _ count: Int, threads: Int, work: Int, _ body: (_ window: UnsafePointer<ck_window>, Range<Int>) -> Void
  ) {
    MatrixKernels.share(count, threads: threads, work: work) { range in withUnsafePointer(to: geometry) { body($0, range) } }
  }

  /// Writes the convolution of `images`.
  /// - Parameter weights: 9 · input channels × output channels, of the convolution whose adjoint this is where `isAdjoint` says
  ///   so, else of this one.
  func convolve(
    _ images: Matrix, weights: Matrix, isAdjoint: Bool, bias: Vector?, into output: MutableMatrix, scratch: MutableVector,
    products: Products
  ) {
    let scratch = split(scratch)
    share(inputChannels / 16, threads: products.threads, work: Self.planes * weightPlane) { _, rows in
      ck_winograd_weights(
        weights.gapless, isAdjoint ? outputChannels : inputChannels, isAdjoint ? inputChannels : outputChannels,
        isAdjoint ? 1 : 0, rows.lowerBound * 16, rows.count * 16, scratch.weights, weightPlane)
    }
    forBlocks(of: images.rows) { first, tiles in
      share(tiles, threads: products.threads, work: tiles * Self.planes * inputChannels) { window, range in
        ck_winograd_images(
          window, images.gapless, first + range.lowerBound, range.count,
          scratch.images + range.lowerBound * inputChannels, imagePlane)
      }
      share(Self.planes, threads: products.threads, work: Self.planes * tiles * inputChannels * outputChannels) { _, planes in
        ck_winograd_multiply(
          scratch.images, imagePlane, tiles, inputChannels, scratch.weights, weightPlane, outputChannels,
          planes.lowerBound, planes.count, scratch.outputs, outputPlane, products.library.multiplier)
      }
      share(tiles, threads: products.threads, work: tiles * Self.planes * outputChannels) { window, range in
        ck_winograd_outputs(
          window, scratch.outputs + range.lowerBound * outputChannels, outputPlane, outputChannels, bias?.base,
          first + range.lowerBound, range.count, output.gapless)
      }
    }
  }

  /// weights ← α · g + β · weights, where g is the gradient by the weights.
  func weightsGradient(
    _ images: Matrix, outputGradient: Matrix, into weights: MutableMatrix, alpha: Float, beta: Float, scratch: MutableVector,
    products: Products
  ) {
    let scratch = split(scratch)
    forBlocks(of: images.rows) { first, tiles in
      share(tiles, threads: products.threads, work: tiles * Self.planes * (inputChannels + outputChannels)) { window, range in
        ck_winograd_images(
          window, images.gapless, first + range.lowerBound, range.count,
          scratch.images + range.lowerBound * inputChannels, imagePlane)
        ck_winograd_outputs_gradient(
          window, outputGradient.gapless, outputChannels, first + range.lowerBound, range.count,
          scratch.outputs + range.lowerBound * outputChannels, outputPlane)
      }
      share(Self.planes, threads: products.threads, work: Self.planes * tiles * inputChannels * outputChannels) { _, planes in
        ck_winograd_multiply_gradient(
          scratch.images, imagePlane, tiles, inputChannels, scratch.outputs, outputPlane, outputChannels,
          first == 0 ? 0 : 1, planes.lowerBound, planes.count, scratch.weights, weightPlane, products.library.multiplier)
      }
    }
    share(inputChannels, threads: products.threads, work: Self.planes * weightPlane) { _, rows in
      ck_winograd_weights_gradient(
        scratch.weights, weightPlane, inputChannels, outputChannels, rows.lowerBound, rows.count, alpha, beta,
        weights.gapless)
    }
  }
}
