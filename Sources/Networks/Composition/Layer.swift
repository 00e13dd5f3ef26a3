import Tensors

/// What one step of a network does, as a value: `Dense(128)`, `ReLU()`.
///
/// The shape of one example has its channels last: [features], [positions, channels] or [height, width, channels]. So
/// a batch is a matrix with a row for each example, and just as well one with a row for each position of each example
/// and a column for each channel.
///
/// A layer of your own is two types: a `Layer`, which says what is wanted, and a `PlacedLayer`, which does it.
///
///     /// y = a x, with one learned factor.
///     struct Scale: Layer {
///       func placed(inputShape: [Int], in builder: inout NetworkBuilder) -> any PlacedLayer {
///         PlacedScale(outputShape: inputShape, factor: builder.add("factor", shape: [1], initialization: .constant(1)))
///       }
///     }
///
///     struct PlacedScale: PlacedLayer {
///       let outputShape: [Int]
///       let factor: Region
///
///       func forward(_ pass: ForwardPass) {
///         pass.output.elements.assign(pass.tensor(factor)[0], times: pass.input.elements, plus: 0)
///       }
///
///       func backward(_ pass: BackwardPass) {
///         pass.inputGradient?.elements.assign(pass.tensor(factor)[0], times: pass.outputGradient.elements.vector, plus: 0)
///         pass.takeGradient(of: factor) { target in
///           var sum: Float = 0
///           for i in 0..<pass.input.elements.count { sum += pass.input.elements[i] * pass.outputGradient.elements[i] }
///           target.values[0] = target.keep * target.values[0] + target.scale * sum
///         }
///       }
///     }
///
/// A composite layer places others with `NetworkBuilder.place` and runs them with `ForwardPass.inner` and
/// `BackwardPass.inner`; `Residual` is written so.
public protocol Layer: Sendable {
  /// Gives the layer its place in a network: fixes its shapes and adds its tensors to the training state.
  /// - Throws: `NetworkError.shape` when it can't take such inputs.
  func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer
}

/// A layer in its place: from a batch of inputs to a batch of outputs and back.
///
/// It owns no memory: it says what it needs before the first update, and gets views of it in every pass. So all memory
/// of a network is one arena of known size.
public protocol PlacedLayer: Sendable {
  /// The shape of one example's output.
  var outputShape: [Int] { get }

  /// The memory that passes need besides input, output and their gradients.
  var memory: LayerMemory { get }

  /// The parts in which a batch may go through the layer without a change of bits.
  var batchParts: BatchParts { get }
  /// The multiply-adds of the matrix products in one example's forward pass, with direct sums: what times are guessed by, and
  /// extrapolated by, where they are not measured. 0, the default, where the layer has no products.
  var multiplyAdds: Double { get }

  /// Writes `pass.output`, and in training what the layer has of persistent buffers, which `ForwardPass.buffer(_:)` gives.
  /// - Throws: what the passes of inner layers throw, and parts of tensors that are read from a file.
  func forward(_ pass: ForwardPass) throws(PagingError)

  /// Writes `pass.inputGradient`, if it is wanted, and the gradients of the layer's parameters, in this order: where a gradient is
  /// taken, the parameter itself may change, so its old value must have been used before.
  /// - Throws: as for `forward(_:)`.
  func backward(_ pass: BackwardPass) throws(PagingError)
}

extension PlacedLayer {
  public var memory: LayerMemory { LayerMemory() }
  public var batchParts: BatchParts { .whole(because: "\(Self.self) does not say that its gradients add up part after part") }
  public var multiplyAdds: Double { 0 }
}

/// What memory a layer needs; counts are in floats, for a full batch.
public struct LayerMemory: Sendable {
  /// Floats kept from a forward pass to its backward pass, besides input and output.
  public var saved: Int
  /// Floats that are free to use inside one forward pass; their contents are lost after it.
  public var forwardScratch: Int
  /// Floats that are free to use inside one backward pass; their contents are lost after it.
  public var backwardScratch: Int
  /// Whether the output takes the input's place. Then the backward pass sees the output only, and `outputGradient`
  /// and `inputGradient` are the same memory too.
  public var isInPlace: Bool
  /// Whether the backward pass reads `input`. Where it does not, something else may take that memory.
  public var readsInput: Bool
  /// Whether the backward pass reads `output`. Where it does not, something else may take that memory.
  public var readsOutput: Bool
  /// Whether the backward pass overwrites `outputGradient`. Where it does not, no copy is made for others who need the gradient.
  public var overwritesGradient: Bool

  public init(
    saved: Int = 0, forwardScratch: Int = 0, backwardScratch: Int = 0, isInPlace: Bool = false, readsInput: Bool = true,
    readsOutput: Bool = true, overwritesGradient: Bool = true
  ) {
    self.saved = saved
    self.forwardScratch = forwardScratch
    self.backwardScratch = backwardScratch
    self.isInPlace = isInPlace
    self.readsInput = readsInput
    self.readsOutput = readsOutput
    self.overwritesGradient = overwritesGradient
  }
}
