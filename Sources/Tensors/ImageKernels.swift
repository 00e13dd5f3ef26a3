import CKernels

/// A window that moves over images whose channels come last: of a convolution, or of a pool.
public struct ImageWindow: Sendable {
  let geometry: ck_window
  /// height, width, channels.
  public let imageShape: [Int]
  /// Places the window stops at, down and across an image.
  public let outputHeight: Int
  public let outputWidth: Int

  /// - Parameters:
  ///   - imageShape: [height, width, channels].
  ///   - size: the window's height and width.
  ///   - stride: from one place of the window to the next.
  ///   - padding: added on each of the four sides.
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

  /// Places in an image.
  public var placeCount: Int { outputHeight * outputWidth }
  /// Floats a window sees.
  public var count: Int { geometry.size * geometry.size * geometry.channels }
  /// Places in a window.
  public var tapCount: Int { geometry.size * geometry.size }
  private var imageCount: Int { imageShape.reduce(1, *) }

  /// The largest value of each channel at each place.
  public func maximum(_ images: Matrix, into output: Matrix) {
    check(images: images, output: output)
    withUnsafePointer(to: geometry) { ck_max_pool($0, images.gapless, images.rows * placeCount, output.gapless) }
  }

  /// Writes the gradient of `maximum` by the images.
  public func maximumGradient(_ images: Matrix, outputGradient: Matrix, into gradient: Matrix) {
    check(images: images, output: outputGradient)
    check(images: gradient, output: outputGradient)
    gradient.elements.fill(0)
    withUnsafePointer(to: geometry) {
      ck_max_pool_gradient($0, images.gapless, outputGradient.gapless, images.rows * placeCount, gradient.gapless)
    }
  }

  /// The mean of each channel at each place; padding counts as zeros.
  public func mean(_ images: Matrix, into output: Matrix) {
    check(images: images, output: output)
    withUnsafePointer(to: geometry) {
      ck_average_pool($0, images.gapless, images.rows * placeCount, 1 / Float(geometry.size * geometry.size), output.gapless)
    }
  }

  /// Writes the gradient of `mean` by the images.
  public func meanGradient(outputGradient: Matrix, into gradient: Matrix) {
    check(images: gradient, output: outputGradient)
    gradient.elements.fill(0)
    withUnsafePointer(to: geometry) {
      ck_average_pool_gradient(
        $0, outputGradient.gapless, gradient.rows * placeCount, 1 / Float(geometry.size * geometry.size), gradient.gapless)
    }
  }

  /// - Parameter channels: of the output; nil for as many as the images have.
  func check(images: Matrix, output: Matrix, channels: Int? = nil) {
    precondition(images.columns == imageCount, "images of another shape")
    precondition(
      output.rows == images.rows && output.columns == placeCount * (channels ?? imageShape[2]), "outputs of another shape")
  }
}
