import Replay
import Runs
import Tensors

/// Two wells: L_j(θ) = ¼ (θ² − 1)² − s x_j θ with x_j = ±1, so that θ ↦ θ − η (θ³ − θ) + η s x_j.
///
/// Around the top at 0 updates expand, by up to 1 + η. The noise is too weak to cross it, so each well is taken into itself by every
/// update, and there they contract. Started in a well, backward converges to a point in it: to another one in the other well. Started on
/// the top it converges to no point. Its iterates are near one of those two, and change from one to the other for ever, because the
/// newest batch, which is applied first, decides to which side the path falls.
package struct DoubleWell: ExampleProblem {
  package static let formula = "θ ↦ θ − η (θ³ − θ) + η s x_j, with x_j = ±1 and s = 0.2"
  package static let usualLearningRate = 0.1
  package static let largestLearningRate = 0.35

  /// s, below 2 / √27, the steepest slope between the wells.
  private static let noise: Float = 0.2

  package let stateCount = 1
  package let metrics = [Metric("loss"), Metric("theta")]
  package let rate: Float
  package var seed = 0
  private var start: Float = 0

  package init(learningRate: Float) { rate = learningRate }

  package func writeInitialState(seed: Int, to state: inout StateBuffer) { state[0] = start }

  package func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    let theta = state[0]
    state[0] = theta - rate * (theta * theta * theta - theta - Self.noise * fairSign(batch, seed: seed))
  }

  package func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] {
    let theta = Double(state.values[0])
    return [(theta * theta - 1) * (theta * theta - 1) / 4, theta]
  }

  // MARK: Predictions

  /// The image of θ under the update whose noise has this sign.
  private func image(_ theta: Double, sign: Double) -> Double {
    theta - Double(rate) * (theta * theta * theta - theta - Double(Self.noise) * sign)
  }

  /// The point in a range where θ³ − θ, which rises or falls there throughout, has a value.
  private static func point(where slope: Double, in range: ClosedRange<Double>, rises: Bool) -> Double {
    root(of: { theta in (theta * theta * theta - theta) * (rises ? -1 : 1) }, equal: slope * (rises ? -1 : 1), in: range)
  }

  /// The right well: both maps take it into itself. Its ends are their fixed points.
  private var well: ClosedRange<Double> {
    let foot = (1.0 / 3).squareRoot()
    let s = Double(Self.noise)
    return Self.point(where: -s, in: foot...1, rises: true)...Self.point(where: s, in: 1...2, rises: true)
  }

  /// The derivative 1 − η (3θ² − 1) at the well's inner end, where it is largest. It is above 0 in all of the well.
  package var contraction: Double { 1 - Double(rate) * (3 * well.lowerBound * well.lowerBound - 1) }

  /// The law of the watershed, the point from which a sequence of batches leads to neither well. It moves by the inverse of the update,
  /// which contracts around the top, and stays between the fixed points of the two maps there.
  private var watershed: InvariantDistribution {
    let edge = Self.point(where: -Double(Self.noise), in: 0...(1.0 / 3).squareRoot(), rises: false)
    return InvariantDistribution(on: -edge...edge) { (image($0, sign: 1), image($0, sign: -1)) }
  }

  /// With u the watershed of batches n … 1, that of n + 1 … 1 is the point that batch n + 1 takes to u. The start, 0, changes sides where
  /// u is on one side and that point on the other: where x = 1 and u is between 0 and the image of 0, or the mirror of that.
  package var changeProbability: Double {
    let law = watershed
    return 0.5 * (law.probability(below: image(0, sign: 1)) - law.probability(below: image(0, sign: -1)))
  }

  package var notes: [String] {
    [
      "Around 0 updates expand by up to 1 + η, and contraction fails; in each well, which no update leaves, they contract by κ at least.",
      "So backward has a limit where it starts in a well, and another in the other (apart). Started between them, at 0, it has none: each "
        + "iterate is near one of the two (near-limits), either with probability ½ (right-well), and from one n to the next it changes from one "
        + "to the other (changes) as often as the watershed of the batches moves over the start. Forward chooses a well once, and stays.",
    ]
  }

  package func claims(_ laboratory: Laboratory) async throws -> [Claim] {
    let (last, window, well) = (laboratory.steps, rateWindow, well)
    func started(_ start: Double) -> DoubleWell {
      var problem = self
      problem.start = Float(start)
      return problem
    }
    // On the way from the top it takes some time to fall, and then as long as in the well.
    let sample = try await laboratory.sample(started(0), [(.forward, [last - 1, last]), (.backward, [last - 1, last])])
    let inWell = (order: CompositionOrder.backward, n: [window.last, last])
    let inner = try await laboratory.sample(started(well.lowerBound), [inWell])
    let outer = try await laboratory.sample(started(well.upperBound), [inWell])
    let left = try await laboratory.sample(started(-1), [inWell])
    let rounding = 2 * 0x1p-24 * 8 / (1 - contraction)
    let width = well.upperBound - well.lowerBound

    func values(_ sample: SeedSample, _ n: Int, _ order: CompositionOrder = .backward) -> [Double] { sample.values(1, of: order, n) }
    func distances(_ n: Int) -> [Double] { zip(values(inner, n), values(outer, n)).map { abs($0 - $1) } }
    let limits = Array(zip(values(left, last), values(inner, last)))
    let (seeds, now, before) = (laboratory.seeds.count, values(sample, last), values(sample, last - 1))
    func changes(_ a: [Double], _ b: [Double]) -> Int { zip(a, b).count { ($0 > 0) != ($1 > 0) } }
    let rates = distances(window.last).map { Elementary.power($0 / width, 1 / Double(window.last)) }
    return [
      Claim(
        .backward, "limit", predicted: 0,
        .exact(distances(last).max() ?? .nan, tolerance: rounding + width * Elementary.power(contraction, last))),
      Claim(.backward, "rate", predicted: contraction, .atMost(rates.max() ?? .nan)),
      Claim(.backward, "apart", predicted: 2 * well.lowerBound - rounding, .atLeast(limits.map { $1 - $0 }.min() ?? .nan)),
      Claim(
        .backward, "near-limits", predicted: 0,
        .exact(zip(now, limits).map { min(abs($0 - $1.0), abs($0 - $1.1)) }.max() ?? .nan, tolerance: 1e-4)),
      Claim(.backward, "right-well", predicted: 0.5, .share(now.count { $0 > 0 }, of: seeds)),
      Claim(.backward, "changes", predicted: changeProbability, .share(changes(before, now), of: seeds)),
      Claim(.forward, "right-well", predicted: 0.5, .share(values(sample, last, .forward).count { $0 > 0 }, of: seeds)),
      Claim(
        .forward, "changes", predicted: 0,
        .exact(Double(changes(values(sample, last - 1, .forward), values(sample, last, .forward))) / Double(seeds), tolerance: 0)),
    ]
  }

  /// Until every seed's path has left the top: at (1 + η)ⁿ times the smallest distance of the watershed from the start that 10⁴ seeds
  /// have, about 10⁻⁵; and then as long as to any fraction in a well.
  package func steps(toReach fraction: Double) -> Int {
    let inWell = max(2, Int((Elementary.log(fraction) / Elementary.log(contraction)).rounded(.up)))
    let fall = Int((Elementary.log(1e6) / Elementary.log(1 + Double(rate))).rounded(.up))
    return fraction < 1e-3 ? fall + inWell : inWell
  }
}
