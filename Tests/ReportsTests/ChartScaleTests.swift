import Foundation
import Reports
import Testing

@Suite struct ChartScaleTests {
  private func scale(_ values: [Double], log: Bool = false, count: Int = 7) -> ChartScale {
    ChartScale(values, isLogarithmic: log, tickCount: count)
  }

  @Test(arguments: [
    ([0.0, 0.2, 1.0], false, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
    ([20, 600], false, ["0", "100", "200", "300", "400", "500", "600"]),
    ([0, 12_000], false, ["0", "2k", "4k", "6k", "8k", "10k", "12k"]),
    ([0, 2_400_000], false, ["0", "0.5M", "1.0M", "1.5M", "2.0M"]),
    ([-1, 1], false, ["−1.0", "−0.5", "0", "0.5", "1.0"]),
    ([1e-6, 8e-6], false, ["2×10⁻⁶", "4×10⁻⁶", "6×10⁻⁶", "8×10⁻⁶"]),
    ([0, 3e20], false, ["0", "0.5×10²⁰", "1.0×10²⁰", "1.5×10²⁰", "2.0×10²⁰", "2.5×10²⁰", "3.0×10²⁰"]),
    ([1, 1.000004], false, ["1.000000", "1.000001", "1.000002", "1.000003", "1.000004"]),
    ([1, 1000], true, ["1", "3", "10", "30", "100", "300", "1k"]),
    ([1e-7, 1], true, ["10⁻⁷", "10⁻⁶", "10⁻⁵", "0.0001", "0.001", "0.01", "0.1", "1"]),
    ([3e-5, 1e-4], true, ["3×10⁻⁵", "4×10⁻⁵", "5×10⁻⁵", "6×10⁻⁵", "7×10⁻⁵", "8×10⁻⁵", "9×10⁻⁵", "0.0001"]),
    ([600, 9300], true, ["1k", "2k", "5k", "10k"]),
    ([0.33, 0.36], true, ["0.330", "0.335", "0.340", "0.345", "0.350", "0.355", "0.360"]),
    ([1e6, 1e9], true, ["1M", "3M", "10M", "30M", "100M", "300M", "1G"]),
  ] as [([Double], Bool, [String])])
  func labels(values: [Double], log: Bool, expected: [String]) {
    #expect(scale(values, log: log).labels == expected)
  }

  /// For any values there are a few ticks inside the range, in order, each with a distinct label.
  @Test(arguments: [
    [], [0], [5], [-3], [7, 7, 7], [-2, -2], [0, 0], [1e-5], [5e-324, 0], [1e-299, 3e-299], [1e299, 3e299], [1e308, -1e308],
    [-1e300, 1e300], [1, 1 + 1e-15], [1e9, 1e9 + 1e-7], [.nan, .infinity, 2], [-.infinity], [0, 1e-300], [1, 2, 3, 1000],
    [0.1, 0.1000001, 0.3], [9.99e14, 1.01e15], [1e-4, 0.99e-4], [123_456_789, 123_456_799], [1e-250, 1e250],
  ] as [[Double]], [false, true])
  func degenerateRanges(values: [Double], log: Bool) throws {
    for count in [4, 8] {
      let scale = scale(values, log: log, count: count)
      #expect(scale.range.lowerBound.isFinite && scale.range.upperBound.isFinite)
      #expect(scale.range.lowerBound < scale.range.upperBound)
      #expect((2...count + 2).contains(scale.ticks.count), "\(scale.ticks)")
      #expect(zip(scale.ticks, scale.ticks.dropFirst()).allSatisfy { $0 < $1 })
      #expect(Set(scale.labels).count == scale.ticks.count, "\(scale.labels)")
      #expect(scale.labels.allSatisfy { $0.count <= 11 && !$0.contains("e") && !$0.contains("-") }, "\(scale.labels)")
      for tick in scale.ticks + scale.minorTicks {
        let position = try #require(scale.position(tick))
        #expect((-1e-9...1 + 1e-9).contains(position), "\(tick)")
      }
      for value in values {
        guard let position = scale.position(value) else { continue }
        #expect((0.0...1).contains(position), "\(value)")
      }
    }
  }

  @Test func someValuesHaveNoPlace() {
    for value in [Double.nan, .infinity, -.infinity, 2e305] { #expect(scale([1, 2]).position(value) == nil) }
    for value in [0, -1, 1e-310] { #expect(scale([1, 2], log: true).position(value) == nil) }
    // Values that the axis can't show do not affect the others.
    #expect(scale([1, 2, 0, -5, .nan], log: true).range == scale([1, 2], log: true).range)
  }

  @Test func positionsAreInProportion() throws {
    let even = scale([10, 20, 30])
    let (low, middle, high) = (try #require(even.position(10)), try #require(even.position(20)), try #require(even.position(30)))
    #expect(low > 0 && high < 1 && abs(middle - 0.5) < 1e-12)
    let log = scale([1, 10, 100], log: true)
    #expect(abs(try #require(log.position(10)) - 0.5) < 1e-12)
    #expect(abs(try #require(scale([4]).position(4)) - 0.5) < 1e-12)
    #expect(abs(try #require(scale([4], log: true).position(4)) - 0.5) < 1e-12)
  }
}
