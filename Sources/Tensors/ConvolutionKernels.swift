import CKernels

extension ImageWindow {
  /// Floats of scratch memory that a convolution to `channels` output channels needs; each of its gradients needs as much.
  public func convolutionScratchCount(channels: Int) -> Int {
    WinogradConvolution(self, outputChannels: channels)?.scratchCount ?? 0
  }

  /// Whether each place sees one pixel, and each pixel is seen from one place: then a convolution is one product.
  private var isPointwise: Bool { geometry.size == 1 && geometry.stride == 1 && geometry.padding == 0 }

  private func check(images: Matrix, weights: Matrix, output: Matrix) {
    check(images: images, output: output, channels: weights.columns)
    precondition(weights.rows == count, "weights of another shape")
  }

  /// The convolution of images with weights: at each place of the window, a row of outputs.
  /// - Parameters:
  ///   - images: a row for each place, a column for each channel.
  ///   - weights: window · channels × outputs.
  ///   - bias: one for each output; nil for none.
  ///   - output: takes a row for each place of the output.
  ///   - scratch: of `convolutionScratchCount`, as in the gradients.
  ///   - products: what computes it where it is made of products of matrices, as in the gradients: those by Winograd's method, and
  ///     those that look at each pixel alone. Others are sums that the builtin kernels make.
  public func convolve(
    _ images: Matrix, weights: Matrix, bias: Vector?, into output: MutableMatrix, scratch: MutableVector, products: Products = Products()
  ) {
    check(images: images, weights: weights, output: output.matrix)
    if let fast = WinogradConvolution(self, outputChannels: weights.columns) {
      return fast.convolve(images, weights: weights, isAdjoint: false, bias: bias, into: output, scratch: scratch, products: products)
    }
    if products.library != .builtin, isPointwise {
      return multiply(
        images.rearranged(columns: count), by: weights, into: output.rearranged(columns: weights.columns), bias: bias, products: products)
    }
    MatrixKernels.share(images.rows, threads: products.threads, work: output.rows * output.columns * count) { examples in
      withUnsafePointer(to: geometry) {
        ck_convolve(
          $0, examples.count, images.rows(examples).gapless, weights.gapless, weights.columns, bias?.base,
          output.rows(examples).gapless)
      }
    }
  }

  /// Writes the gradient by the images of `convolve`, given the one by its output.
  public func convolutionGradient(
    _ outputGradient: Matrix, weights: Matrix, into imagesGradient: MutableMatrix, scratch: MutableVector, products: Products = Products()
  ) {
    check(images: imagesGradient.matrix, weights: weights, output: outputGradient)
    if let fast = WinogradConvolution(self, outputChannels: weights.columns) {
      return fast.adjoint.convolve(
        outputGradient, weights: weights, isAdjoint: true, bias: nil, into: imagesGradient, scratch: scratch, products: products)
    }
    if products.library != .builtin, isPointwise {
      return multiply(
        outputGradient.rearranged(columns: weights.columns), by: weights, byTransposed: true,
        into: imagesGradient.rearranged(columns: count), products: products)
    }
    MatrixKernels.share(imagesGradient.rows, threads: products.threads, work: outputGradient.elements.count * count) { examples in
      withUnsafePointer(to: geometry) {
        ck_convolve_images_gradient(
          $0, examples.count, outputGradient.rows(examples).gapless, weights.gapless, weights.columns,
          imagesGradient.rows(examples).gapless)
      }
    }
  }

  /// weights ← α · g + β · weights, where g is the gradient by the weights of `convolve`. With β = 0 the old weights are not read.
  public func convolutionWeightsGradient(
    _ images: Matrix, outputGradient: Matrix, into weights: MutableMatrix, alpha: Float, beta: Float, scratch: MutableVector,
    products: Products = Products()
  ) {
    check(images: images, weights: weights.matrix, output: outputGradient)
    if let fast = WinogradConvolution(self, outputChannels: weights.columns) {
      return fast.weightsGradient(
        images, outputGradient: outputGradient, into: weights, alpha: alpha, beta: beta, scratch: scratch, products: products)
    }
    if products.library != .builtin, isPointwise {
      return multiply(
        images.rearranged(columns: count), transposed: true, by: outputGradient.rearranged(columns: weights.columns), into: weights,
        alpha: alpha, beta: beta, products: products)
    }
    MatrixKernels.share(tapCount, threads: products.threads, work: outputGradient.elements.count * count) { taps in
      withUnsafePointer(to: geometry) {
        ck_convolve_weights_gradient(
          $0, images.rows, images.gapless, outputGradient.gapless, weights.columns, taps.lowerBound, taps.count, alpha,
          beta, weights.gapless)
      }
    }
  }
}
