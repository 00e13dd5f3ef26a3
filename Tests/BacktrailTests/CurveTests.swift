import Backtrail
import Testing

@Suite struct CurveTests {
  @Test func noiseIsTheDeviationOfNeighbourDifferences() throws {
    // Differences 2, −1, 2: mean 1, squares 1 + 4 + 1 over 2.
    let curve = Curve([(10, 9), (20, 9), (30, 2), (40, 4), (50, 3), (60, 5)])
    let noise = try #require(curve.neighbourNoise(in: 30...60))
    #expect(abs(noise - 3.squareRoot()) < 1e-12)
    #expect(curve.neighbourNoise(in: 50...60) == nil)
  }

  @Test func noiseNeedsEvenDistances() {
    #expect(Curve([(1, 1), (2, 2), (4, 1), (8, 2)]).neighbourNoise(in: 1...8) == nil)
    // The last n of a run may come sooner.
    #expect(Curve([(10, 1), (20, 2), (30, 1), (33, 2)]).neighbourNoise(in: 1...33) != nil)
  }

  @Test func pointsAreJoinedByLinesInTheLogarithm() {
    let curve = Curve([(100, 3), (1, 1)])
    #expect(curve.value(at: 1) == 1)
    #expect(abs(curve.value(at: 10) - 2) < 1e-12)
    #expect(curve.value(at: 100) == 3)
    #expect(curve.value(at: 1000) == 3)
  }

  @Test func meansOfPointsThatComeOneByOneAreThoseOfTheWholeCurve() {
    for (range, points) in [
      (10...10, [(1, 1.0), (100, 3)]), (1...7, [(3, 2), (5, -1)]), (40...60, [(1, 1), (45, 3), (46, 0.5), (90, 2)]),
      (80...90, [(2, 1), (7, 4)]), (1...50_000, [(10, 1), (1000, 3), (49_000, 2)]),
    ] {
      var streamed = StreamedMean(range)
      for (n, value) in points { streamed.add(n, value) }
      let curve = Curve(points)
      let step = max(1, range.count / 10_000)
      let values = stride(from: range.upperBound, through: range.lowerBound, by: -step).map(curve.value(at:))
      #expect(abs(streamed.mean - values.reduce(0, +) / Double(values.count)) < 1e-12)
    }
    #expect(StreamedMean(1...3).mean.isNaN)
  }

  @Test func errorsAreTakenAtTheReferencesPoints() {
    let reference = Curve([(1, 1), (10, 2.5), (100, 3), (1000, 0)])
    #expect(Curve([(1, 1), (100, 3)]).errors(against: reference, in: 2...100).map { ($0 * 1e9).rounded() / 1e9 } == [0.5, 0])
  }
}
