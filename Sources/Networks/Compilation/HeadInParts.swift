import Tensors

/// How much a last layer makes of its logits at once.
public enum HeadPart: Sendable, Equatable {
  /// In updates, the logits of some classes after those of others, for all predictions.
  case classes
  /// In evaluations, all logits of so many predictions.
  case predictions(Int)
}

/// A last layer that works without all of its logits: memory for it does not grow with predictions × vocabulary.
///
/// An update makes the logits chunk by chunk of the vocabulary, once for what the loss needs to know of all of them, and a second
/// time for their gradients: a product more than with all logits kept. After Wijmans et al. 2024, "Cut your losses in
/// large-vocabulary language models", arXiv 2411.09009.
struct HeadInParts: Sendable {
  let part: HeadPart
  let layer: PlacedTiedHead
  let loss: any ClassLoss
  /// Predictions of a micro-batch, and of the whole batch, which the mean loss is taken over.
  let predictions: Int
  let batchPredictions: Int

  /// Fewer would make products slow.
  static let leastPredictions = 64
  /// Those of a part where memory does not decide.
  static let usualPredictions = 512

  /// - Returns: nil where the last stage or the loss needs all logits.
  init?(_ part: HeadPart, last: NetworkStage, loss: any Loss, predictions: Int, batchPredictions: Int) {
    guard let loss = loss as? any ClassLoss, case .layers(let layers) = last.work, let layer = layers.only as? PlacedTiedHead
    else { return nil }
    self.part = part
    self.layer = layer
    self.loss = loss
    self.predictions = predictions
    self.batchPredictions = batchPredictions
  }

  /// What the stage's passes take.
  var cost: StageCost {
    let chunk = min(PlacedTiedHead.chunk, layer.vocabulary)
    let (output, scratch) =
      switch part {
      // There is no output but the statistics, which are not in the arena.
      case .classes: (predictions, predictions * chunk)
      case .predictions(let count): (min(count, predictions) * layer.vocabulary, 0)
      }
    let multiplyAdds = Double(predictions) * Double(layer.vocabulary) * Double(layer.width)
    // The logits are made once more on the way back.
    return StageCost(
      guessedFor: multiplyAdds, backward: 3 * multiplyAdds, inputCount: predictions * layer.width, outputCount: output,
      forwardScratchCount: scratch, backwardScratchCount: scratch)
  }

  /// Predictions whose logits' statistics a workspace holds.
  var statisticsCount: Int { part == .classes ? predictions : 0 }

  /// Predictions that are measured together.
  var partPredictions: Int { if case .predictions(let count) = part { min(count, predictions) } else { 0 } }

  /// Gathers what the loss needs to know of all logits.
  /// - Parameters:
  ///   - input: predictions × width.
  ///   - scratch: predictions × `PlacedTiedHead.chunk` floats.
  func gather(
    _ input: Matrix, targets: Targets, into statistics: inout [LogitStatistics], _ pass: ForwardPass
  ) throws(PagingError) {
    for index in statistics.indices { statistics[index] = LogitStatistics() }
    try layer.forEachChunk(pass) { chunk in
      let logits = pass.scratch.matrix(rows: input.rows, columns: chunk.count)
      layer.makeLogits(
        of: chunk, input, weights: pass.tensor(layer.rows(chunk)), into: logits, products: pass.context.products)
      loss.gather(logits.matrix, targets, into: &statistics)
    }
  }

  /// The backward passes of loss and layer.
  func backward(
    _ input: Matrix, targets: Targets, _ statistics: [LogitStatistics], inputGradient: MutableMatrix?, _ pass: BackwardPass
  ) throws(PagingError) {
    try pass.takeGradients(of: layer.weight, rows: layer.vocabulary, inPartsOf: PlacedTiedHead.chunk) { classes, target in
      let weights = pass.tensor(layer.rows(classes))
      let logits = pass.scratch.matrix(rows: input.rows, columns: classes.count)
      layer.makeLogits(of: classes, input, weights: weights, into: logits, products: pass.context.products)
      // Each gradient takes the place of its logit.
      loss.writeGradient(
        of: logits.matrix, from: classes.lowerBound, targets, statistics, predictions: batchPredictions, to: logits)
      layer.takeGradient(
        logits.matrix, from: classes.lowerBound, weights: weights, input: input, to: inputGradient, target,
        products: pass.context.products)
    }
  }
}
