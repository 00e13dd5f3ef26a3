import Tensors

extension ImageWindow {
  /// The shape of a pool's output for one example: height, width, channels.
  var pooledShape: [Int] { [outputHeight, outputWidth, imageShape[2]] }
}

/// The window of a pool over examples of `inputShape`: height, width and channels.
/// - Throws: `NetworkError.shape` where the window does not fit into such examples.
func poolingWindow(
  _ inputShape: [Int], size: Int, stride: Int, padding: Int
) throws(NetworkError) -> ImageWindow {
  // With more padding, a window could see nothing else.
  guard 2 * padding <= size,
    let window = ImageWindow(imageShape: inputShape, size: size, stride: stride, padding: padding)
  else {
    throw .shape(
      """
      a pool of size \(size) with padding \(padding) can't take examples of shape \(inputShape): it needs images of \
      height × width × channels, no smaller than its window, and padding of at most half of that
      """)
  }
  return window
}
