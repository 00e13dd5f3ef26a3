import Runs
import Replay

/// A way to approximate a curve, before it is compared.
struct FrontierCandidate {
  let series: Series
  let schedule: String
  let points: Set<Int>
  let cost: RunCost
  let distance: Estimate?
}

/// Compares observations with the exact backward curve, seed by seed. None of the candidates has diverged for one of the seeds.
struct FrontierComparison {
  let seeds: [Int]
  let metrics: [Metric]
  let observations: [Series: [Observation]]
  /// The range of the compared n.
  let range: ClosedRange<Int>
  /// Whether forward has diverged for one of the seeds.
  let isForwardDiverged: Bool

  /// The decays per observation among which the best exponential average of forward's curve is chosen.
  private static let decays = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99]

  /// The observed curve of a metric for each seed.
  private func curves(_ series: Series, _ metric: Int = 0) -> [Curve] {
    let bySeed = Dictionary(grouping: observations[series] ?? [], by: \.seed)
    return seeds.map { seed in Curve((bySeed[seed] ?? []).map { ($0.n, $0.measurements.values[metric]) }) }
  }

  func frontier(_ candidates: [FrontierCandidate], run: String) -> Frontier {
    let exact = metrics.indices.map { curves(.backward, $0) }
    let losses = exact[0]
    let guesses = guesses(losses)
    let best = guesses.min { mean($0.errors) < mean($1.errors) }
    let exactCost = candidates.first { $0.series == .backward }?.cost.gradientEvaluations ?? 1

    func point(_ candidate: FrontierCandidate, dominated: (Double) -> Bool) -> Frontier.Point {
      let seen = metrics.indices.map { metric in curves(candidate.series, metric).map { $0.restricted(to: candidate.points) } }
      // The errors of each metric, for each seed and n.
      let distances = zip(seen, exact).map { seen, exact in zip(seen, exact).map { $0.errors(against: $1, in: range) } }
      let errors = zip(metrics, distances).map { metric, distances in
        Frontier.MetricError(
          metric: metric, mean: Estimate(distances.map(mean)), worst: Estimate(distances.map { $0.max() ?? 0 }))
      }
      let noises = seen[0].compactMap { $0.neighbourNoise(in: range) }
      let skill = best.map { best in
        Estimate(zip(distances[0], best.errors).map { $1 > 0 ? 1 - mean($0) / $1 : 0 })
      }
      return Frontier.Point(
        series: candidate.series, schedule: candidate.schedule, gradientEvaluations: candidate.cost.gradientEvaluations,
        costFraction: Double(candidate.cost.gradientEvaluations) / Double(exactCost), seconds: candidate.cost.seconds ?? 0,
        peakBytes: candidate.cost.peakBytes, storedBytes: candidate.cost.diskBytes, errors: errors,
        loss: Estimate(zip(seen[0], losses).map { curve, exact in
          mean(exact.points.filter { range.contains($0.n) }.map { curve.value(at: $0.n) })
        }),
        noise: noises.isEmpty ? nil : Estimate(noises), distance: candidate.distance, skill: skill,
        hasSkill: (skill?.interval.lowerBound ?? 0) > 0, isOptimal: !dominated(errors[0].mean.mean))
    }
    let errors = candidates.map { candidate in
      mean(zip(curves(candidate.series), losses).map {
        mean($0.restricted(to: candidate.points).errors(against: $1, in: range))
      })
    }
    let points = candidates.map { candidate in
      point(candidate) { error in
        zip(candidates, errors).contains { other, otherError in
          let cost = other.cost.gradientEvaluations
          return cost <= candidate.cost.gradientEvaluations && otherError <= error
            && (cost < candidate.cost.gradientEvaluations || otherError < error)
        }
      }
    }.sorted { ($0.gradientEvaluations, $0.lossError.mean) < ($1.gradientEvaluations, $1.lossError.mean) }
    return Frontier(
      run: run, exact: points.last { $0.series == .backward } ?? points.last, comparedFrom: range.lowerBound, comparedTo: range.upperBound,
      comparedCount: losses.first?.points.count { range.contains($0.n) } ?? 0, seeds: seeds.count,
      guesses: guesses.map { Frontier.Guess(name: $0.name, lossError: Estimate($0.errors)) }
        .sorted { $0.lossError.mean < $1.lossError.mean },
      points: points)
  }

  /// The guesses that a forward run gives at no extra cost, with the mean error for each seed; none where it has diverged.
  private func guesses(_ exact: [Curve]) -> [(name: String, errors: [Double])] {
    guard !isForwardDiverged, !seeds.isEmpty else { return [] }
    let forward = curves(.forward)
    guard forward.allSatisfy({ $0.points.count > 1 }) else { return [] }
    func errors(_ guess: (Curve) -> Curve) -> [Double] {
      zip(forward, exact).map { mean(guess($0).errors(against: $1, in: range)) }
    }
    let averages = Self.decays.map { decay in (decay, errors { $0.smoothed(decay: decay) }) }
    var guesses = [("the forward curve", errors { $0 }), ("a line in log n through it", errors { $0.logarithmicLine(in: range) })]
    if let (decay, errors) = averages.min(by: { mean($0.1) < mean($1.1) }) {
      guesses.append(("its exponential average \(decay)", errors))
    }
    return guesses
  }
}
