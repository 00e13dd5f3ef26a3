import Foundation
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

  /// ln of the growth from the start to each of some positions, ascending from 0, averaged over directions.
  private let growth: [(position: Int, logarithm: Double)]
  private let functionGrowth: [(position: Int, logarithm: Double)]

  private enum CodingKeys: CodingKey { case exponent, lastHalf, function, functionLastHalf, blocks }

  /// - Parameters:
  ///   - stops: The stops that the growth is between.
  ///   - functionStops: The stops at which distances of predictions were measured.
  ///   - blockStops: Those of them at which blocks begin, and the last stop.
  init(_ growth: PairedTrajectories<NetworkUpdateMap>.Growth, stops: [Int], functionStops: [Int], blockStops: [Int]) {
    let bounds = Array(zip(blockStops, blockStops.dropFirst()))
    let exponents = growth.logarithms.map { logarithms in
      bounds.map { first, last in
        zip(stops, logarithms).filter { (first..<last).contains($0.0) }.reduce(0) { $0 + $1.1 } / Double(last - first)
      }
    }
    // Distances of predictions grow as distances do, and besides as these become more visible in them.
    let functionExponents = zip(exponents, growth.visibilities).map { exponents, visibilities in
      let visibility = Dictionary(zip(functionStops, visibilities)) { first, _ in first }
      return zip(bounds, exponents).map { bound, exponent in
        exponent + ((visibility[bound.1] ?? .nan) - (visibility[bound.0] ?? .nan)) / Double(bound.1 - bound.0)
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
    var sums = [0.0]
    for stretch in stops.indices.dropLast() { sums.append(sums[stretch] + mean(growth.logarithms.map { $0[stretch] })) }
    let all = Array(zip(stops, sums)).map { (position: $0.0, logarithm: $0.1) }
    self.growth = all
    functionGrowth = functionStops.enumerated().map { index, stop in
      let logarithm = all.first { $0.position == stop }?.logarithm ?? .nan
      return (stop, logarithm + mean(growth.visibilities.map { $0[index] - $0[0] }))
    }
  }

  /// ln of the factor by which the path's first `count` updates change the distance of a pair.
  func logarithmOfGrowth(first count: Int) -> Double { Self.interpolated(growth, at: count) }

  /// The same for the distance of what the pair predicts.
  func logarithmOfFunctionGrowth(first count: Int) -> Double { Self.interpolated(functionGrowth, at: count) }

  /// The number of updates after which the distance of a pair is a fraction of what it was: on the path, or beyond it at the rate of its
  /// last half; nil if it is not, and does not fall there.
  func updates(toShrinkBy fraction: Double) -> Double? { Self.updates(growth, to: Foundation.log(fraction), then: lastHalf) }

  /// The same for the distance of what the pair predicts.
  func updates(toShrinkPredictionsBy fraction: Double) -> Double? {
    Self.updates(functionGrowth, to: Foundation.log(fraction), then: functionLastHalf)
  }

  private static func interpolated(_ growth: [(position: Int, logarithm: Double)], at position: Int) -> Double {
    guard let next = growth.firstIndex(where: { $0.position >= position }), next > 0 else { return 0 }
    let (a, b) = (growth[next - 1], growth[next])
    return a.logarithm + (b.logarithm - a.logarithm) * Double(position - a.position) / Double(b.position - a.position)
  }

  private static func updates(_ growth: [(position: Int, logarithm: Double)], to logarithm: Double, then rate: Exponent) -> Double? {
    for (a, b) in zip(growth, growth.dropFirst()) where b.logarithm <= logarithm {
      return Double(a.position) + Double(b.position - a.position) * (logarithm - a.logarithm) / (b.logarithm - a.logarithm)
    }
    guard let last = growth.last, rate.region == .contracts else { return nil }
    return Double(last.position) + (logarithm - last.logarithm) / rate.value
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
  /// The τ after which the distance of a pair is this fraction of what it was, on backward's path or beyond it at the rate exp(λτ) of its
  /// last half; nil if it is not, and λ is not certainly below 0 there.
  public let tailByExponent: Double?
  /// The same of predictions.
  public let tailByFunctionExponent: Double?
  /// The least of the measured τ whose distance is at most this fraction, and the same of predictions; nil if none is.
  public let tailMeasured: Int?
  public let tailMeasuredInFunction: Int?

  public struct Point: Encodable, Sendable {
    public let tail: Int
    /// ‖θ_tail − θ_backward‖.
    public let distance: Double
    /// Forward's distance times what that of a pair is changed by in its first τ updates. What a tail's head differs from backward's by is
    /// as new when the τ reversed batches begin as the difference of a pair is when it starts; old differences have turned to where
    /// nothing shrinks them, and predictions do not show them.
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
