import CKernels

/// A window that moves over images whose channels come last, as that of a convolution or a pool does.
///
/// A batch of images is a matrix with a row for each, of height · width · channels; the outputs are one with as many rows, of
/// `outputHeight` · `outputWidth` · output channels.
public struct ImageWindow: Sendable {
  let geometry: ck_window
  /// Height, width and channels of an image.
  public let imageShape: [Int]
  /// Places at which the window stops on its way down an image.
  public let outputHeight: Int
  /// Places at which it stops on its way across.
  public let outputWidth: Int

  /// - Parameters:
  ///   - imageShape: height, width and channels.
  ///   - size: height and width of the window.
  ///   - stride: how far apart its places are, down and across.
  ///   - padding: how many zeros are added on each of the four sides.
  /// - Returns: nil where the window is larger than the padded image, or no image has this shape.
  public init?(imageShape: [Int], size: Int, stride: Int, padding: Int) {
    guard imageShape.count == 3, size > 0, stride > 0, padding >= 0, imageShape[0] + 2 * padding >= size,
      imageShape[1] + 2 * padding >= size
    else { return nil }
    self.imageShape = imageShape
    outputHeight = (imageShape[0] + 2 * padding - size) / stride + 1
    outputWidth = (imageShape[1] + 2 * padding - size) / stride + 1
    geometry = ck_window(
      height: imageShape[0], width: imageShape[1], channels: imageShape[2], size: size, stride: stride,
      padding: padding, out_height: outputHeight, out_width: outputWidth)
  }

  /// Places of the window on an image.
  public var placeCount: Int { outputHeight * outputWidth }
  /// Floats that the window sees at one place: size · size · channels.
  public var count: Int { geometry.size * geometry.size * geometry.channels }
  /// Pixels that the window sees at one place: size · size.
  public var tapCount: Int { geometry.size * geometry.size }
  private var imageCount: Int { imageShape.reduce(1, *) }

  /// Writes the largest value of each channel at each place.
  public func maximum(_ images: Matrix, into output: MutableMatrix) {
    check(images: images, output: output.matrix)
    withUnsafePointer(to: geometry) { ck_max_pool($0, images.gapless, images.rows * placeCount, output.gapless) }
  }

  /// Writes the gradient by the images of `maximum`, given the one by its output. Of equal values, the first takes it.
  public func maximumGradient(_ images: Matrix, outputGradient: Matrix, into gradient: MutableMatrix) {
    check(images: images, output: outputGradient)
    check(images: gradient.matrix, output: outputGradient)
    gradient.elements.fill(0)
    withUnsafePointer(to: geometry) {
      ck_max_pool_gradient($0, images.gapless, outputGradient.gapless, images.rows * placeCount, gradient.gapless)
    }
  }

  /// Writes the mean of each channel at each place; padding counts as zeros.
  public func mean(_ images: Matrix, into output: MutableMatrix) {
    check(images: images, output: output.matrix)
    withUnsafePointer(to: geometry) {
      ck_average_pool($0, images.gapless, images.rows * placeCount, 1 / Float(geometry.size * geometry.size), output.gapless)
    }
  }

  /// Writes the gradient by the images of `mean`, given the one by its output.
  public func meanGradient(outputGradient: Matrix, into gradient: MutableMatrix) {
    check(images: gradient.matrix, output: outputGradient)
    gradient.elements.fill(0)
    withUnsafePointer(to: geometry) {
      ck_average_pool_gradient(
        $0, outputGradient.gapless, gradient.rows * placeCount, 1 / Float(geometry.size * geometry.size), gradient.gapless)
    }
  }

  /// - Parameter channels: channels of the output; nil for as many as the images have.
  func check(images: Matrix, output: Matrix, channels: Int? = nil) {
    precondition(images.columns == imageCount, "images of another shape")
    precondition(
      output.rows == images.rows && output.columns == placeCount * (channels ?? imageShape[2]), "outputs of another shape")
  }
}
