import Networks
import Tensors

/// Kernels at shapes that models have, one thread, each beside plain loops for the same result.
func registerKernels() {
  // Forward and weights of an MLP with batches of 8, a wide MLP's hidden layer, a GPT's perceptron, and a large one.
  product("8 × 784 by 784 × 128", repetitions: 20) { try Product(rows: 8, inner: 784, columns: 128) }
  product("784 × 8 transposed by 8 × 128", repetitions: 20) {
    try Product(rows: 784, inner: 8, columns: 128, transposed: true)
  }
  product("32 × 512 by 512 × 512") { try Product(rows: 32, inner: 512, columns: 512) }
  product("768 × 128 by 128 × 512") { try Product(rows: 768, inner: 128, columns: 512) }

  // LeNet's second, a ResNet's last group (too small for Winograd's way) and its first (by Winograd's way).
  convolution("5 × 5 on 14 × 14 × 6, batch 32") {
    try ConvolutionWork(imageShape: [14, 14, 6], channels: 16, size: 5, padding: 0, batchSize: 32)
  }
  convolution("3 × 3 on 4 × 4 × 512, batch 2") {
    try ConvolutionWork(imageShape: [4, 4, 512], channels: 512, size: 3, padding: 1, batchSize: 2)
  }
  convolution("3 × 3 on 32 × 32 × 64, batch 4") {
    try ConvolutionWork(imageShape: [32, 32, 64], channels: 64, size: 3, padding: 1, batchSize: 4)
  }

  compare("layer normalization 768 × 128", repetitions: 20) {
    try LayerNormalizationWork(rows: 768, columns: 128)
  }
  compare("attention 64 × 128 in 4 heads, batch 4") {
    try AttentionWork(context: 64, width: 128, heads: 4, batchSize: 4)
  }
}

/// Registers a product, and the same by OpenBLAS, each checked beside plain loops.
private func product(_ shape: String, repetitions: Int = 1, _ make: @escaping () throws -> Product) {
  let name = "product \(shape)"
  compare(name, repetitions: repetitions, make)
  measure("kernel: \(name), by OpenBLAS", repetitions: repetitions) {
    let product = try make().by(.openBLAS)
    try product.checkAgreement()
    return product
  } body: { product in
    product.fast()
  }
}

private func convolution(_ shape: String, _ make: @escaping () throws -> ConvolutionWork) {
  let name = "convolution \(shape)"
  compare(name, make)
  measure("kernel: \(name), its multiply-adds as one product") {
    try Product.of(multiplyAdds: make().multiplyAdds)
  } body: { product in
    product.fast()
  }
  measure("kernel: \(name), gradient by images", setup: make) { work in work.imagesGradient() }
  measure("kernel: \(name), gradient by weights", setup: make) { work in work.weightsGradient() }
}

/// Registers a kernel, and plain loops beside it.
private func compare<Work: KernelWork>(_ name: String, repetitions: Int = 1, _ make: @escaping () throws -> Work) {
  func checked() throws -> Work {
    let work = try make()
    try work.checkAgreement()
    return work
  }
  measure("kernel: \(name)", repetitions: repetitions, setup: checked) { work in try work.fast() }
  measure("kernel: \(name), plain loops", setup: checked) { work in work.plain() }
}

/// One piece of work, done in two ways.
protocol KernelWork: AnyObject {
  /// Where both ways write what they compute.
  var result: MutableVector { get }
  func fast() throws
  func plain()
}

extension KernelWork {
  /// A ratio of times means something only where results are the same.
  func checkAgreement() throws {
    plain()
    let expected = (0..<result.count).map { result[$0] }
    result.fill(.nan)
    try fast()
    let largest = expected.reduce(0) { max($0, abs($1)) }
    let error = expected.indices.reduce(0) { max($0, abs(result[$1] - expected[$1])) }
    // Written so that it does not hold for what is no number.
    guard largest > 0, error <= 1e-4 * largest else {
      throw Meaningless(description: "plain loops differ by \(error), where the largest number is \(largest)")
    }
  }
}

/// c ← op(a) b, with op(a) rows × inner and b inner × columns.
final class Product: KernelWork {
  private let (rows, inner, columns): (Int, Int, Int)
  private let isTransposed: Bool
  private let a: FloatBuffer
  private let b: FloatBuffer
  private var c: FloatBuffer
  private let products: Products

  init(rows: Int, inner: Int, columns: Int, transposed: Bool = false, by library: ProductLibrary = .builtin) throws {
    (self.rows, self.inner, self.columns, isTransposed) = (rows, inner, columns, transposed)
    products = Products(library)
    a = try .normal(rows * inner, seed: 1)
    b = try .normal(inner * columns, seed: 2)
    c = try FloatBuffer(count: rows * columns)
  }

  /// The same product, computed by another library.
  func by(_ library: ProductLibrary) throws -> Product {
    try Product(rows: rows, inner: inner, columns: columns, transposed: isTransposed, by: library)
  }

  /// A product with so many multiply-adds, of a shape that suits the machine, for what it takes at least.
  static func of(multiplyAdds: Int) throws -> Product {
    // 256 rows or more, for which `inner` and `columns` shrink.
    let size = multiplyAdds >= 256 << 18 ? 512 : multiplyAdds >= 256 << 14 ? 128 : 64
    return try Product(rows: max(1, (multiplyAdds + size * size / 2) / (size * size)), inner: size, columns: size)
  }

  var result: MutableVector { c.mutableVector }

  func fast() {
    let a = a.vector.matrix(rows: isTransposed ? inner : rows, columns: isTransposed ? rows : inner)
    multiply(
      a, transposed: isTransposed, by: b.vector.matrix(rows: inner, columns: columns),
      into: c.mutableVector.matrix(rows: rows, columns: columns), products: products)
  }

  func plain() {
    let (rowStep, innerStep) = isTransposed ? (1, rows) : (inner, 1)
    plainProduct(
      rows: rows, inner: inner, columns: columns, a.vector, rowStep: rowStep, innerStep: innerStep, b.vector,
      c.mutableVector)
  }
}

/// Images channels last, weights [size][size][channels][outputs].
private final class ConvolutionWork: KernelWork {
  private let window: ImageWindow
  private let geometry: PlainConvolution
  private let batchSize: Int
  private let images: FloatBuffer
  private let weights: FloatBuffer
  private var output: FloatBuffer
  private var imagesTarget: FloatBuffer
  private var weightsTarget: FloatBuffer
  private var scratch: FloatBuffer

  init(imageShape: [Int], channels: Int, size: Int, padding: Int, batchSize: Int) throws {
    guard let window = ImageWindow(imageShape: imageShape, size: size, stride: 1, padding: padding) else {
      throw Meaningless(description: "images of \(imageShape) are too small")
    }
    self.window = window
    self.batchSize = batchSize
    geometry = PlainConvolution(
      imageShape: imageShape, size: size, padding: padding, outputShape: [window.outputHeight, window.outputWidth, channels])
    images = try .normal(batchSize * imageShape.reduce(1, *), seed: 1)
    weights = try .normal(window.count * channels, seed: 2)
    output = try .normal(batchSize * window.placeCount * channels, seed: 3)
    imagesTarget = try FloatBuffer(count: images.count)
    weightsTarget = try FloatBuffer(count: weights.count)
    scratch = try FloatBuffer(count: window.convolutionScratchCount(channels: channels))
  }

  var multiplyAdds: Int { output.count * window.count }

  private func matrix(_ buffer: borrowing FloatBuffer) -> Matrix {
    buffer.vector.matrix(rows: batchSize, columns: buffer.count / batchSize)
  }
  private func weightMatrix(_ buffer: borrowing FloatBuffer) -> Matrix {
    buffer.vector.matrix(rows: window.count, columns: buffer.count / window.count)
  }
  private func target(_ buffer: inout FloatBuffer, rows: Int) -> MutableMatrix {
    buffer.mutableVector.matrix(rows: rows, columns: buffer.count / rows)
  }

  var result: MutableVector { output.mutableVector }

  func fast() {
    window.convolve(
      matrix(images), weights: weightMatrix(weights), bias: nil, into: target(&output, rows: batchSize),
      scratch: scratch.mutableVector)
  }

  func plain() { geometry.convolve(images.vector, weights.vector, output.mutableVector, examples: batchSize) }

  func imagesGradient() {
    window.convolutionGradient(
      matrix(output), weights: weightMatrix(weights), into: target(&imagesTarget, rows: batchSize),
      scratch: scratch.mutableVector)
  }

  func weightsGradient() {
    window.convolutionWeightsGradient(
      matrix(images), outputGradient: matrix(output), into: target(&weightsTarget, rows: window.count), alpha: 1,
      beta: 0, scratch: scratch.mutableVector)
  }
}

private final class LayerNormalizationWork: KernelWork {
  private let (rows, columns): (Int, Int)
  private let input: FloatBuffer
  private let weight: FloatBuffer
  private let bias: FloatBuffer
  private var output: FloatBuffer
  private var mean: FloatBuffer
  private var inverse: FloatBuffer

  init(rows: Int, columns: Int) throws {
    (self.rows, self.columns) = (rows, columns)
    input = try .normal(rows * columns, seed: 1)
    weight = try .normal(columns, seed: 2)
    bias = try .normal(columns, seed: 3)
    output = try FloatBuffer(count: rows * columns)
    mean = try FloatBuffer(count: rows)
    inverse = try FloatBuffer(count: rows)
  }

  var result: MutableVector { output.mutableVector }

  func fast() {
    input.vector.matrix(rows: rows, columns: columns).normalizeRows(
      weight: weight.vector, bias: bias.vector, epsilon: 1e-5,
      into: output.mutableVector.matrix(rows: rows, columns: columns), mean: mean.mutableVector,
      inverse: inverse.mutableVector)
  }

  func plain() {
    plainLayerNormalization(
      rows: rows, columns: columns, input.vector, weight: weight.vector, bias: bias.vector, epsilon: 1e-5,
      output.mutableVector)
  }
}

/// A network of nothing but causal attention, forward.
private final class AttentionWork: KernelWork {
  private let (context, width, heads, batchSize): (Int, Int, Int, Int)
  private let network: CompiledNetwork
  private let state: StateBuffer
  private let input: FloatBuffer
  private var output: FloatBuffer
  private var workspace: CompiledNetwork.Workspace

  init(context: Int, width: Int, heads: Int, batchSize: Int) throws {
    (self.context, self.width, self.heads, self.batchSize) = (context, width, heads, batchSize)
    network = try CompiledNetwork(
      Network(input: [context, 3 * width]) { CausalSelfAttention(heads: heads) }, loss: CrossEntropy(),
      batchSize: batchSize, isTrained: false)
    state = try StateBuffer(count: network.stateCount)
    workspace = try network.makeWorkspace()
    input = try .normal(batchSize * context * 3 * width, seed: 1)
    output = try FloatBuffer(count: batchSize * context * width)
  }

  var result: MutableVector { output.mutableVector }

  func fast() throws {
    workspace.inputs(rows: batchSize).elements.copy(from: input.vector)
    output.mutableVector.copy(from: try network.outputs(state, rows: batchSize, workspace: &workspace).elements)
  }

  func plain() {
    for example in 0..<batchSize {
      plainAttention(
        context: context, width: width, heads: heads,
        input.vector.part(Region(offset: example * context * 3 * width, count: context * 3 * width)),
        output.mutableVector.part(Region(offset: example * context * width, count: context * width)))
    }
  }
}
