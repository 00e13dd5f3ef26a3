import Networks
import Tensors
import Testing

/// Attention in blocks of queries against the whole matrix of probabilities.
@Suite struct AttentionTests {
  /// softmax(q kᵀ / √d) v and its gradient by x, for one example, by products with the whole context.
  private struct WholeAttention: ~Copyable {
    var output: FloatBuffer
    var inputGradient: FloatBuffer

    init(_ input: Matrix, heads: Int, outputGradient: Matrix) throws {
      let (context, width) = (input.rows, input.columns / 3)
      let depth = width / heads
      var output = try FloatBuffer(count: context * width)
      var inputGradient = try FloatBuffer(count: context * 3 * width)
      var squares = try FloatBuffer(count: 2 * context * context)
      let square = [0, 1].map {
        squares.mutableVector.part(Region(offset: $0 * context * context, count: context * context))
          .matrix(rows: context, columns: context)
      }
      let scale = 1 / Float(depth).squareRoot()
      let outputs = output.mutableVector.matrix(rows: context, columns: width)
      let gradients = inputGradient.mutableVector.matrix(rows: context, columns: 3 * width)
      for head in 0..<heads {
        func part(_ index: Int) -> Range<Int> { index * width + head * depth..<index * width + (head + 1) * depth }
        let (q, k, v) = (input.columns(part(0)), input.columns(part(1)), input.columns(part(2)))
        let dy = outputGradient.columns(part(0))
        multiply(q, by: k, byTransposed: true, into: square[0])
        square[0].becomeCausalSoftmax(scale: scale)
        multiply(square[0].matrix, by: v, into: outputs.columns(part(0)))
        multiply(square[0].matrix, transposed: true, by: dy, into: gradients.columns(part(2)))
        multiply(dy, by: v, byTransposed: true, into: square[1])
        square[1].becomeCausalSoftmaxGradient(probabilities: square[0].matrix, scale: scale)
        multiply(square[1].matrix, by: k, into: gradients.columns(part(0)))
        multiply(square[1].matrix, transposed: true, by: q, into: gradients.columns(part(1)))
      }
      self.output = output
      self.inputGradient = inputGradient
    }
  }

  /// The first place where two vectors of one length differ in a bit; nil if there is none.
  private func firstDifference(_ a: Vector, _ b: Vector) -> Int? {
    (0..<max(a.count, b.count)).first { a[$0].bitPattern != b[$0].bitPattern }
  }

  @Test(
    arguments: [1, 7, 63, 64, 65, 128, 129, 200, 513, 1024],
    [(heads: 1, depth: 16, threads: 1), (heads: 2, depth: 20, threads: 1), (heads: 3, depth: 1, threads: 1), (heads: 1, depth: 64, threads: 3)])
  func blocksGiveTheBitsOfTheWhole(context: Int, shape: (heads: Int, depth: Int, threads: Int)) throws {
    let (width, batch) = (shape.heads * shape.depth, 2)
    let network = try CompiledNetwork(
      Network(input: [context, 3 * width]) {
        InputTap()
        CausalSelfAttention(heads: shape.heads)
      }, loss: MeanSquaredError(), batchSize: batch, products: Products(threads: shape.threads))
    var state = try StateBuffer(count: network.stateCount)
    try network.layout.initialize(&state, seed: 1)
    var workspace = try network.makeWorkspace()
    let random = RandomSource(seed: 3, purpose: .synthesis)
    random.fillNormal(workspace.inputs(rows: batch).elements, batch: 0, deviation: 2)
    for i in workspace.targets.values.indices { workspace.targets.values[i] = Float(random.uniform(batch: 1 + i)) }
    var input = try FloatBuffer(count: batch * context * 3 * width)
    input.mutableVector.copy(from: workspace.inputs(rows: batch).elements.vector)
    let training = PassContext(isTraining: true)
    var gradient = try StateBuffer(count: network.layout.count)
    try network.gradient(of: &state, into: &gradient, context: training, workspace: &workspace)
    let outputs = try network.outputs(&state, rows: batch, context: training, workspace: &workspace)
    var outputGradient = try FloatBuffer(count: batch * context * width)
    network.loss.writeGradient(
      of: outputs, workspace.targets, predictions: outputs.rows,
      to: outputGradient.mutableVector.matrix(rows: batch * context, columns: width))

    for example in 0..<batch {
      let inputs = Region(offset: example * context * 3 * width, count: context * 3 * width)
      let rows = Region(offset: example * context * width, count: context * width)
      let whole = try WholeAttention(
        input.vector.part(inputs).matrix(rows: context, columns: 3 * width), heads: shape.heads,
        outputGradient: outputGradient.vector.part(rows).matrix(rows: context, columns: width))
      #expect(firstDifference(outputs.elements.part(rows), whole.output.vector) == nil)
      #expect(firstDifference(gradient.vector.part(inputs), whole.inputGradient.vector) == nil)
    }
  }

  @Test func scratchMemoryIsLinearInTheContext() throws {
    func cost(_ context: Int) throws -> StageCost {
      try CompiledNetwork(
        Network(input: [context, 24]) { CausalSelfAttention(heads: 2) }, loss: MeanSquaredError(), batchSize: 3
      ).graph.stages[0].cost
    }
    let (one, eight) = (try cost(1024), try cost(8192))
    #expect(eight.forwardScratchCount == 8 * one.forwardScratchCount)
    #expect(eight.backwardScratchCount == 8 * one.backwardScratchCount)
    #expect(one.backwardScratchCount == 2 * one.forwardScratchCount && one.forwardScratchCount < 1024 * 1024 / 4)
    #expect(try cost(32).forwardScratchCount == 32 * 32)
  }
}
