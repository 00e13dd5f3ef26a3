import Runs
import Datasets
import Foundation
import Networks
import Replay
import Tensors

/// The way text is drawn from a network.
public struct TextSampling: Sendable {
  /// The text to continue: characters, or numbers of tokens separated by blanks. If it is empty, a line break or the
  /// last token of the vocabulary is continued.
  public var prompt = ""
  /// The number of characters or tokens to draw.
  public var length = 500
  /// Logits are divided by the temperature. Below 1 likely characters become more likely; 0 always takes the
  /// likeliest.
  public var temperature = 0.8
  public var seed: UInt64 = 0

  public init() {}
}

extension Run where Problem == NetworkProblem {
  /// Continues a text character by character, or token by token, with an iterate of the run. The text is a pure
  /// function of the iterate and the sampling.
  /// - Returns: The text without the prompt.
  /// - Throws: `RunError.impossible` if the run's data are not text, `DatasetError` if the prompt contains what is
  ///   not in the data's vocabulary.
  public func text(
    order: CompositionOrder, n: Int, seed: Int, sampling: TextSampling, progress: ReplayProgress = ReplayProgress()
  ) async throws -> String {
    guard let vocabulary = problem.dataset.vocabulary else {
      throw RunError.impossible("\(folder.path) was trained on \(problem.dataset.name), which is no text")
    }
    let context = problem.dataset.exampleShape[0]
    var start = try vocabulary.encode(sampling.prompt)
    if start.isEmpty { start = try vocabulary.beginning() }
    let network = try CompiledNetwork(
      problem.network.network, loss: problem.network.loss, batchSize: 1, isTrained: false,
      products: problem.network.products)
    let stored = try await recalledState(order, n, seed: seed, progress: progress).state
    var workspace = try network.makeWorkspace()
    let source = RandomSource(seed: sampling.seed, purpose: .text)
    return try stored.read { state throws in
      var characters = start
      for index in 0..<sampling.length {
        let seen = characters.suffix(context)
        // The inputs after the seen characters do not matter: attention looks back only.
        let inputs = workspace.inputs(rows: 1).elements
        inputs.fill(0)
        for (position, character) in seen.enumerated() { inputs[position] = Float(character) }
        let logits = try network.outputs(state.values, rows: 1, workspace: &workspace)[row: seen.count - 1]
        guard (0..<logits.count).allSatisfy({ logits[$0].isFinite }) else {
          throw RunError.impossible("iterate \(n) of \(order) (seed \(seed)) gives no text: its numbers are not finite, since the updates diverge")
        }
        characters.append(draw(logits, temperature: sampling.temperature, uniform: source.uniform(batch: index)))
      }
      return vocabulary.decode(Array(characters.dropFirst(start.count)))
    }
  }

  /// Draws an index from softmax(logits / temperature), by where `uniform` in 0 ..< 1 falls among the cumulative
  /// probabilities.
  private func draw(_ logits: Vector, temperature: Double, uniform: Double) -> Int {
    let largest = (0..<logits.count).max { logits[$0] < logits[$1] } ?? 0
    guard temperature > 0 else { return largest }
    let weights = (0..<logits.count).map { Elementary.exp(Double(logits[$0] - logits[largest]) / temperature) }
    var rest = uniform * weights.reduce(0, +)
    for (index, weight) in weights.enumerated() {
      rest -= weight
      if rest < 0 { return index }
    }
    return largest
  }
}
