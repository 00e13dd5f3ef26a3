import Replay
import Tensors

/// The differences between the ends of pairs of sequences, over a decade of η that begins where rounding is a hundredth of the leading term.
package struct OrderDifferences {
  package let loss: PlaneRegression.Loss
  package let fit: DecadeFit
  /// η by η, in each seed by seed, in each pair by pair: the end of the one sequence minus that of the other.
  package let differences: [[[SIMD2<Double>]]]
  /// Seed by seed and pair by pair.
  package let expansions: [[Terms]]

  /// What multiplies η² and η³ in a difference, and the sum of the norms of both paths' gradients at the start.
  package struct Terms: Sendable {
    package let second, third: SIMD2<Double>
    fileprivate let length: Double
  }

  /// - Parameter power: The power of η in the term that must be above rounding: 2, or 3 where those of η² are the same or known.
  package init(_ loss: PlaneRegression.Loss, _ pairs: [OrderComparison.Pair], power: Int, _ laboratory: Laboratory) async throws {
    let batches = pairs.map(\.one.largestBatch).max() ?? 0
    var displacement = 0.0
    let expansions = laboratory.seeds.map { seed in
      let problem = PlaneRegression(loss, learningRate: 0).map(seed: seed)
      let derivatives = (1...batches).map(problem.derivatives(ofBatch:))
      let norms = derivatives.map { ($0.gradient * $0.gradient).sum().squareRoot() }
      return pairs.map { pair in
        let (one, other) = (PathExpansion(of: pair.one, derivatives), PathExpansion(of: pair.other, derivatives))
        displacement += (one.first * one.first).sum()
        let length = [pair.one, pair.other].flatMap { sequence in (0..<sequence.count).map { norms[sequence[$0] - 1] } }.reduce(0, +)
        return Terms(second: one.second - other.second, third: one.third - other.third, length: length)
      }
    }
    var leading = 0.0
    for terms in expansions.joined() {
      let term = power == 2 ? terms.second : terms.third
      leading += (term * term).sum()
    }
    // √updates · 2⁻²⁴ · η ‖a‖ = 0.01 · η^power · ‖leading term‖, both norms root mean squares over seeds and pairs.
    let updates = pairs.map { $0.one.count + $0.other.count }.max() ?? 0
    let ratio = 100 * Double(updates).squareRoot() * 0x1p-24 * (displacement / leading).squareRoot()
    let rates = DecadeFit.decade(from: power == 2 ? ratio : ratio.squareRoot())

    let order = CompositionOrder.listed(ListedOrder(name: "file:pairs", sequences: pairs.flatMap { [$0.one, $0.other] }))
    var differences: [[[SIMD2<Double>]]] = []
    for rate in rates {
      let sample = try await laboratory.sample(PlaneRegression(loss, learningRate: rate), [(order, Array(1...2 * pairs.count))])
      func end(_ n: Int) -> [SIMD2<Double>] { zip(sample.values(1, of: order, n), sample.values(2, of: order, n)).map { SIMD2($0, $1) } }
      let apart = pairs.indices.map { pair in zip(end(2 * pair + 1), end(2 * pair + 2)).map { one, other in one - other } }
      differences.append((0..<laboratory.seeds.count).map { seed in apart.map { $0[seed] } })
    }
    self.loss = loss
    self.expansions = expansions
    self.differences = differences
    fit = DecadeFit(rates: rates.map(Double.init))
  }

  /// The squared norms, η by η, the mean over the pairs of each seed.
  /// - Parameter withoutBrackets: Whether the term of η² is taken from the difference.
  package func squares(withoutBrackets: Bool = false) -> [[Double]] {
    means { difference, terms, rate in
      let rest = withoutBrackets ? difference - rate * rate * terms.second : difference
      return (rest * rest).sum()
    }
  }

  /// The part of the difference that lies along its term of η² or η³, over that term, at η → 0.
  package func relativeSize(power: Int) -> SampleEstimate {
    func term(_ terms: Terms) -> SIMD2<Double> { power == 2 ? terms.second : terms.third }
    let parts = means { difference, terms, rate in (difference * term(terms)).sum() / Elementary.power(rate, power) }
    return fit.limit(of: parts, to: expansions.map { pairs in mean(of: pairs.map { (term($0) * term($0)).sum() }) })
  }

  /// The largest distance of a difference from its term of η², over η and the length of both paths.
  package var largestErrorOfLength: Double {
    var largest = 0.0
    for (seeds, rate) in zip(differences, fit.rates) {
      for (difference, terms) in zip(seeds.joined(), expansions.joined()) {
        let error = difference - rate * rate * terms.second
        largest = max(largest, (error * error).sum().squareRoot() / (rate * terms.length))
      }
    }
    return largest
  }

  private func mean(of values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

  /// A function of each difference, η by η, the mean over the pairs of each seed.
  private func means(_ function: (SIMD2<Double>, Terms, _ rate: Double) -> Double) -> [[Double]] {
    zip(differences, fit.rates).map { seeds, rate in
      zip(seeds, expansions).map { pairs, terms in mean(of: zip(pairs, terms).map { function($0, $1, rate) }) }
    }
  }
}
