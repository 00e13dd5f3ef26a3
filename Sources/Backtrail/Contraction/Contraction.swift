import Runs

/// How updates bring states nearer to each other along a run: the document that `contraction --json` prints.
public struct Contraction: Encodable, Sendable {
  public let run: String
  public let seed: Int
  /// n of the iterates whose paths are followed, and of those compared with tails.
  public let iterate: Int
  /// How many perturbations there are, and where they point: `update` or `random`.
  public let directions: Int
  public let kind: PerturbationKind
  /// The distance that perturbations are set back to, and after how many updates.
  public let size: Double
  public let interval: Int
  /// Growth along forward's path, batches 1 … n.
  public let forward: PathGrowth
  /// Growth along backward's path, batches n … 1.
  public let backward: PathGrowth
  /// Backward's exponent at other distances of the pairs, in ascending order.
  public let sizes: [SizeExponent]
  public let tails: TailCheck
  /// Distances between successive iterates.
  public let changes: [IterateChange]
  /// How many test predictions function distances are over.
  public let predictions: Int
  public let gradientEvaluations: Int
  public let seconds: Double
}

/// Backward's exponent at another distance of the pairs, measured with the first pair alone.
public struct SizeExponent: Encodable, Sendable {
  public let size: Double
  /// The distance as a multiple of what rounding adds to it before it is set back: 2⁻²⁵ of the norm of the initial state, times the root
  /// of the interval. Where this is not large, rounding hides the exponent.
  public let roundings: Double
  public let exponent: Double
}

/// Where perturbations point at first.
public enum PerturbationKind: String, CaseIterable, Codable, Sendable {
  /// To the state after one update, a batch for each: how successive iterates of backward differ before the other batches are applied.
  case update
  /// In any direction of parameter space. Directions in which the loss is flat are among them, which nothing contracts.
  case random
}

/// The growth of perturbations along one path.
public struct PathGrowth: Encodable, Sendable {
  /// The exponent per update: λ of growth like exp(λ n).
  public let exponent: Exponent
  /// The same over the last half of the path's updates. In backward order these apply the oldest batches, which `tail:τ` reverses too.
  public let lastHalf: Exponent
  /// The exponent of the distance of what the states predict, over all updates and over the last half of them.
  public let function: Exponent
  public let functionLastHalf: Exponent
  /// The exponent of each of some blocks of updates, in the order in which they are applied.
  public let blocks: [Block]

  public struct Exponent: Encodable, Sendable {
    public let value: Double
    /// Half of the 95 % confidence interval: that over blocks of updates and that over directions, each by Student's t, taken together
    /// as independent errors. Nil where there is one block.
    public let halfWidth: Double?

    /// Whether perturbations shrink, `contracts`, or grow, `expands`, or neither is certain, `undecided`.
    public var region: Region {
      guard let halfWidth else { return .undecided }
      return value + halfWidth < 0 ? .contracts : value - halfWidth > 0 ? .expands : .undecided
    }

    public enum Region: String, Codable, Sendable {
      case contracts, expands, undecided
    }

    private enum CodingKeys: CodingKey { case value, halfWidth, region }

    public func encode(to encoder: any Encoder) throws {
      var document = encoder.container(keyedBy: CodingKeys.self)
      try document.encode(value, forKey: .value)
      try document.encodeIfPresent(halfWidth, forKey: .halfWidth)
      try document.encode(region, forKey: .region)
    }

    /// - Parameter exponents: [direction][block], blocks being equally long.
    init(_ exponents: [[Double]]) {
      let blocks = (exponents.first ?? []).indices.map { block in mean(exponents.map { $0[block] }) }
      let overBlocks = Estimate(blocks)
      let overDirections = Estimate(exponents.map(mean))
      value = overBlocks.mean
      halfWidth = overBlocks.halfWidth.map { ($0 * $0 + (overDirections.halfWidth.map { $0 * $0 } ?? 0)).squareRoot() }
    }
  }

  public struct Block: Encodable, Sendable {
    /// The first and the last of its updates, counted from 1.
    public let first: Int
    public let last: Int
    /// The mean over directions.
    public let exponent: Double
    public let functionExponent: Double
    /// The standard deviation between directions; nil for one.
    public let spread: Double?
  }

  /// ln of the mean growth from each stop to the end of the path, for distances that only the last updates shrink.
  private let stops: [Int]
  private let logarithms: [Double]

  private enum CodingKeys: CodingKey { case exponent, lastHalf, function, functionLastHalf, blocks }

  /// - Parameters:
  ///   - stops: The stops that the growth is between.
  ///   - blockStops: The stops at which blocks begin, and the last stop.
  init(_ growth: PairedTrajectories<NetworkUpdateMap>.Growth, stops: [Int], blockStops: [Int]) {
    let bounds = Array(zip(blockStops, blockStops.dropFirst()))
    let exponents = growth.logarithms.map { logarithms in
      bounds.map { first, last in
        zip(stops, logarithms).filter { (first..<last).contains($0.0) }.reduce(0) { $0 + $1.1 } / Double(last - first)
      }
    }
    // Distances of predictions grow as distances do, and besides as these become more visible in them.
    let functionExponents = zip(exponents, growth.visibilities).map { exponents, visibilities in
      bounds.indices.map { block in
        exponents[block] + (visibilities[block + 1] - visibilities[block]) / Double(bounds[block].1 - bounds[block].0)
      }
    }
    func lastHalf(_ exponents: [[Double]]) -> Exponent { Exponent(exponents.map { Array($0.suffix(($0.count + 1) / 2)) }) }
    exponent = Exponent(exponents)
    self.lastHalf = lastHalf(exponents)
    function = Exponent(functionExponents)
    functionLastHalf = lastHalf(functionExponents)
    blocks = bounds.enumerated().map { index, bound in
      let values = exponents.map { $0[index] }
      return Block(
        first: bound.0 + 1, last: bound.1, exponent: mean(values), functionExponent: mean(functionExponents.map { $0[index] }),
        spread: standardDeviation(values))
    }
    self.stops = stops
    logarithms = stops.indices.dropLast().map { stop in mean(growth.logarithms.map { $0[stop] }) }
  }

  /// ln of the factor by which the path's last `count` updates change the distance of a pair.
  func logarithmOfGrowth(last count: Int) -> Double {
    Self.sum(zip(zip(stops, stops.dropFirst()), logarithms).map { ($0.0, $0.1, $1) }, last: count)
  }

  /// The same for the distance of what the pair predicts, evenly divided between a block's updates.
  func logarithmOfFunctionGrowth(last count: Int) -> Double {
    Self.sum(blocks.map { ($0.first - 1, $0.last, $0.functionExponent * Double($0.last - $0.first + 1)) }, last: count)
  }

  private static func sum(_ stretches: [(first: Int, last: Int, logarithm: Double)], last count: Int) -> Double {
    let begin = (stretches.last?.last ?? 0) - count
    return stretches.reduce(0) { sum, stretch in
      sum + max(0, Double(stretch.last - max(stretch.first, begin))) / Double(stretch.last - stretch.first) * stretch.logarithm
    }
  }
}

/// How far `tail:τ` is from backward at one n, beside what the exponent says.
public struct TailCheck: Encodable, Sendable {
  /// The distances of forward from backward: of parameters and buffers, and of predictions. They are what a tail without a reversed batch
  /// errs by.
  public let forwardDistance: Double
  public let forwardFunctionDistance: Double
  public let points: [Point]
  /// The fraction of forward's distance that the following τ are for.
  public let fraction: Double
  /// The τ after which exp(λτ) is this fraction, λ being the exponent of the last half of backward's path; nil where that is not below 0.
  public let tailByExponent: Double?
  /// The same by the exponent of predictions.
  public let tailByFunctionExponent: Double?
  /// The least of the measured τ whose distance is at most this fraction, and the same of predictions; nil if none is.
  public let tailMeasured: Int?
  public let tailMeasuredInFunction: Int?

  public struct Point: Encodable, Sendable {
    public let tail: Int
    /// ‖θ_tail − θ_backward‖.
    public let distance: Double
    /// Forward's distance times what that of a pair is changed by along the last τ updates of backward's path.
    public let predictedDistance: Double
    public let functionDistance: Double
    public let predictedFunctionDistance: Double
  }
}

/// How far an iterate is from the one before it, and how far it has come.
public struct IterateChange: Encodable, Sendable {
  /// `forward` or `backward`.
  public let order: String
  public let n: Int
  /// ‖θ_n − θ_(n−1)‖ of parameters and buffers.
  public let distance: Double
  /// ‖θ_n − θ_0‖.
  public let travelled: Double
  /// The root mean square, over test predictions, of the distance of what both predict: class probabilities, or values.
  public let functionDistance: Double
  public let functionTravelled: Double
}
