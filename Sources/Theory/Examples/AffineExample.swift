import Replay
import Runs

/// An example whose updates are affine maps, so that the moments of its stationary law are known.
package protocol AffineExample: ExampleProblem {
  var law: AffineLaw { get }
  /// Where all seeds start.
  var start: [Double] { get }

  /// The point that backward's iterates of a seed converge to, A_1 … A_(j−1) c_j summed over all batches j, in double precision.
  /// - Parameter terms: How many terms are summed.
  func limit(seed: Int, terms: Int) -> [Double]

  /// What rounding errors and the steps that are missing may change in a coordinate of an iterate n.
  func tolerance(after n: Int) -> Double
}

extension AffineExample {
  package var contraction: Double { law.contraction }

  /// The claims that hold for all affine examples, whose metrics are their loss and then their coordinates.
  /// - Parameter laws: The distribution function of a coordinate's stationary law; nil where it is not known.
  package func affineClaims(_ laboratory: Laboratory, law distribution: ((Double) -> Double)?, isNormal: Bool = false) async throws -> [Claim] {
    let (law, last, window) = (law, laboratory.steps, rateWindow)
    let sample = try await laboratory.sample(self, [(.forward, [last - 1, last]), (.backward, [window.first, window.last, last])])
    let coordinates = 1..<1 + law.dimension
    let rounding = tolerance(after: last)

    let limits = laboratory.seeds.map { limit(seed: $0, terms: 2 * last) }
    let errors = coordinates.flatMap { coordinate in
      zip(sample.values(coordinate, of: .backward, last), limits).map { abs($0 - $1[coordinate - 1]) }
    }
    var claims = [Claim(.backward, "limit", predicted: 0, .exact(errors.max() ?? .nan, tolerance: rounding))]

    let distances = [window.last, window.first].map { sample.squaredDistances(of: .backward, $0, to: last, over: coordinates) }
    let steps = Double(window.last - window.first)
    let predicted = law.squaredDistance(after: window.last, from: start) / law.squaredDistance(after: window.first, from: start)
    claims.append(
      Claim(
        .backward, "rate", predicted: SampleEstimate(predicted, standardError: 0).power(0.5 / steps).value,
        .estimate(SampleEstimate.ratio(of: distances[0], to: distances[1]).power(0.5 / steps))))
    let changes = sample.squaredDistances(of: .forward, last, to: last - 1, over: coordinates)
    claims.append(Claim(.forward, "change", predicted: law.squaredChange, .estimate(.mean(of: changes))))

    let covariance = law.covariance
    for (order, series) in [(CompositionOrder.backward, Claim.Series.backward), (.forward, .forward)] {
      let states = coordinates.map { sample.values($0, of: order, last) }
      for (i, values) in states.enumerated() {
        let name = law.dimension > 1 ? ":\(i + 1)" : ""
        claims.append(Claim(series, "mean" + name, predicted: law.mean[i], .estimate(.mean(of: values))))
        let variance = SampleEstimate.variance(of: values)
        claims.append(
          Claim(
            series, "variance" + name, predicted: covariance[i * law.dimension + i],
            isNormal ? .normalVariance(variance.value, count: values.count) : .estimate(variance)))
        for j in 0..<i {
          claims.append(
            Claim(
              series, "covariance:\(j + 1),\(i + 1)", predicted: covariance[j * law.dimension + i],
              .estimate(.covariance(of: states[j], values))))
        }
        if let distribution {
          claims.append(Claim(series, "law", predicted: 0, .distance(KolmogorovSmirnov(values, law: distribution, rounding: rounding))))
        }
      }
    }
    claims += sameLaw(sample, at: last, coordinates, rounding: rounding)
    return claims
  }
}

extension ExampleProblem {
  /// Backward's iterates are compared with forward's, coordinate by coordinate. Both are of the same seeds, and independent all the same:
  /// forward's depend on the newer half of the batches and backward's on the older, up to the contraction of N/2 updates.
  package func sameLaw(_ sample: SeedSample, at n: Int, _ coordinates: Range<Int>, rounding: Double) -> [Claim] {
    coordinates.map { coordinate in
      let distance = KolmogorovSmirnov(
        sample.values(coordinate, of: .backward, n), sample.values(coordinate, of: .forward, n), rounding: rounding)
      return Claim(.both, "same-law" + (coordinates.count > 1 ? ":\(coordinate)" : ""), predicted: 0, .distance(distance))
    }
  }
}
