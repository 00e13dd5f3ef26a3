/// The order in which one update runs the forward and backward passes of a network's stages.
///
/// A backward pass needs what its stage's last forward pass saved, and its input and output where it reads them. What a later
/// forward pass makes again need not be kept: how long everything lives follows from the order of the passes alone.
public struct ActivationSchedule: Sendable, Equatable {
  public enum Pass: Sendable, Equatable {
    case forward(Int)
    case backward(Int)
  }

  public let passes: [Pass]

  /// - Parameter passes: the backward passes, from the last stage to the first, each after a forward pass of its stage, and every
  ///   forward pass after one of each stage whose output it reads. A sum may take the place of its first input, so that stage runs
  ///   again before the sum does.
  public init(_ passes: [Pass]) {
    self.passes = passes
  }

  /// The schedule that runs each pass once: the fastest one, with the most memory.
  public static func keepingAll(stageCount: Int) -> ActivationSchedule {
    ActivationSchedule(
      (0..<stageCount).map { .forward($0) } + (0..<stageCount).reversed().map { .backward($0) })
  }

  /// How many forward passes are repetitions of earlier ones.
  public var repeatedPasses: Int {
    let backward = passes.count { if case .backward = $0 { true } else { false } }
    return passes.count - 2 * backward
  }

  /// The multiply-adds of all passes.
  public func multiplyAdds(_ stages: [StageCost]) -> Double {
    passes.reduce(0) {
      switch $1 {
      case .forward(let stage): $0 + stages[stage].forwardMultiplyAdds
      case .backward(let stage): $0 + stages[stage].backwardMultiplyAdds
      }
    }
  }

  /// The time that all passes take, in seconds.
  public func seconds(_ stages: [StageCost]) -> Double {
    passes.reduce(0) {
      switch $1 {
      case .forward(let stage): $0 + stages[stage].forwardSeconds
      case .backward(let stage): $0 + stages[stage].backwardSeconds
      }
    }
  }
}

/// What the passes of one stage take, for a full batch: time in seconds, multiply-adds, and memory in floats.
public struct StageCost: Sendable, Equatable {
  public var forwardSeconds: Double
  public var backwardSeconds: Double
  /// The multiply-adds of the products in a forward pass, and in a backward pass.
  public let forwardMultiplyAdds: Double
  public let backwardMultiplyAdds: Double
  public let inputCount: Int
  public let outputCount: Int
  /// Floats kept from a forward pass to the backward pass, besides input and output.
  public let savedCount: Int
  public let forwardScratchCount: Int
  public let backwardScratchCount: Int

  public init(
    forwardSeconds: Double, backwardSeconds: Double, forwardMultiplyAdds: Double = 0, backwardMultiplyAdds: Double = 0,
    inputCount: Int, outputCount: Int, savedCount: Int, forwardScratchCount: Int, backwardScratchCount: Int
  ) {
    self.forwardSeconds = forwardSeconds
    self.backwardSeconds = backwardSeconds
    self.forwardMultiplyAdds = forwardMultiplyAdds
    self.backwardMultiplyAdds = backwardMultiplyAdds
    self.inputCount = inputCount
    self.outputCount = outputCount
    self.savedCount = savedCount
    self.forwardScratchCount = forwardScratchCount
    self.backwardScratchCount = backwardScratchCount
  }
}

extension StageCost {
  /// A cost with guessed times: those of a core that does 50·10⁹ multiply-adds a second and moves 10·10⁹ bytes, where each pass
  /// reads its input and writes its output.
  init(
    guessedFor forwardMultiplyAdds: Double, backward backwardMultiplyAdds: Double, inputCount: Int, outputCount: Int, savedCount: Int = 0,
    forwardScratchCount: Int = 0, backwardScratchCount: Int = 0
  ) {
    let moved = Double((inputCount + outputCount) * MemoryLayout<Float>.stride) / 10e9
    self.init(
      forwardSeconds: forwardMultiplyAdds / 50e9 + moved, backwardSeconds: backwardMultiplyAdds / 50e9 + 2 * moved,
      forwardMultiplyAdds: forwardMultiplyAdds, backwardMultiplyAdds: backwardMultiplyAdds, inputCount: inputCount,
      outputCount: outputCount, savedCount: savedCount, forwardScratchCount: forwardScratchCount,
      backwardScratchCount: backwardScratchCount)
  }
}
