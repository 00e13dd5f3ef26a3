import Backtrail
import Foundation
import TestSupport
import Testing

@Suite struct ObservedSeriesTests {
  private func iterates(_ points: [(n: Int, loss: Double)]) -> [RunResult.Iterate] {
    let metrics = [Metric("testLoss"), Metric("testAccuracy")]
    return points.map { n, loss in
      RunResult.Iterate(
        n: n, measurements: Measurements([loss, 1 - loss], of: metrics), digest: Digest(high: 0, low: 0))
    }
  }

  private func noise(_ seeds: [[(n: Int, loss: Double)]]) -> [(n: Int, noise: Double)] {
    ObservedSeries(name: "s", seeds: seeds.map(iterates)).noise()
  }

  @Test func aTrendIsNoNoise() throws {
    let line = noise([(1...12).map { ($0 * 10, 2 - 0.1 * Double($0)) }])
    // 11 changes give windows of 8, each placed at its middle.
    #expect(line.map(\.n) == [50, 60, 70, 80])
    #expect(line.allSatisfy { $0.noise < 1e-12 })
  }

  @Test func noiseIsTheDeviationOfEightChanges() throws {
    // Values alternate by 1: changes of 1 and −1 with mean 0, squares 8 over 7.
    let zigzag = noise([(1...9).map { ($0, $0 % 2 == 0 ? 1 : 0) }])
    #expect(zigzag.count == 1)
    #expect(abs((zigzag.first?.noise ?? 0) - (8.0 / 7).squareRoot()) < 1e-12)
    // Over several seeds the variances are averaged.
    let two = noise([(1...9).map { ($0, $0 % 2 == 0 ? 1 : 0) }, (1...9).map { ($0, 0.5) }])
    #expect(abs((two.first?.noise ?? 0) - (4.0 / 7).squareRoot()) < 1e-12)
  }

  @Test func changesOverUnequalDistancesAreNotCompared() throws {
    #expect(noise([(1...12).map { (1 << $0, 0.5) }]).isEmpty)
    #expect(noise([((1...12).map { $0 * 10 } + [125, 170, 171]).map { ($0, 0.5) }]).isEmpty)
    #expect(noise([(1...8).map { ($0, 0.5) }]).isEmpty)
    // The last point may be closer.
    let short = noise([(1...10).map { ($0 * 10, 0.5) } + [(103, 9)]])
    #expect(short.map(\.n) == [50, 60] && short.allSatisfy { $0.noise == 0 })
  }

  @Test func curvesAreMeansOverTheSeedsThereAre() throws {
    let series = ObservedSeries(name: "s", seeds: [iterates([(2, 0.5), (1, 1)]), iterates([(1, 3)])])
    let curve = series.curve()
    #expect(curve.map(\.n) == [1, 2])
    #expect(curve.map(\.estimate.mean) == [2, 0.5])
    #expect(curve[0].estimate.halfWidth != nil && curve[1].estimate.halfWidth == nil)
    #expect(series.curve(1).map(\.estimate.mean) == [-1, 0.5])
  }

  @Test func seriesStandInTheOrderTheyWereAskedFor() throws {
    var settings = RunSettings()
    settings.orders = ["tail:50@every:10", "backward", "forward", "tail:auto"]
    let names = ["forward", "backward", "tail:32", "forward average exponential:0.99", "tail:50", "tail:16", "tail:128"]
    let run = try NetworkRun.create(at: TemporaryFolder()("run"), RunSpecification(RunConfiguration(settings)))
    #expect(
      run.description.workload.sorted(names.compactMap(Series.init)).map(\.description) == [
        "tail:50", "backward", "forward", "forward average exponential:0.99", "tail:16", "tail:32", "tail:128",
      ])
  }
}
