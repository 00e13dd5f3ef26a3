import Foundation

/// How an axis turns values into places, and where its ticks are.
struct ChartScale {
  let isLogarithmic: Bool
  /// Ends of the axis.
  let range: ClosedRange<Double>
  /// Values with a grid line and a label, ascending.
  let ticks: [Double]

  /// - Parameters:
  ///   - values: all that the axis shows; those it can't show are left out.
  ///   - isLogarithmic: what is not positive has no place then.
  ///   - tickCount: about how many ticks there are.
  init(_ values: [Double], isLogarithmic: Bool, tickCount: Int) {
    let shown = values.filter { $0.isFinite && (!isLogarithmic || $0 > 0) }
    let low = shown.min() ?? (isLogarithmic ? 1 : 0), high = shown.max() ?? (isLogarithmic ? 10 : 1)
    self.isLogarithmic = isLogarithmic
    if isLogarithmic {
      // A twentieth of the axis is left free at both ends.
      let width = max(log10(high / low), 0.2)
      range = low * pow(10, -width / 20)...high * pow(10, width / 20)
      ticks = Self.logarithmicTicks(in: range, count: tickCount)
    } else {
      let width = high > low ? high - low : max(abs(high), 1e-9)
      range = low - width / 20...high + width / 20
      ticks = Self.evenTicks(in: range, count: tickCount)
    }
  }

  /// Where a value lies: 0 at the lower end, 1 at the upper; nil where it has no place.
  func position(_ value: Double) -> Double? {
    guard value.isFinite else { return nil }
    guard isLogarithmic else { return (value - range.lowerBound) / (range.upperBound - range.lowerBound) }
    return value > 0 ? log10(value / range.lowerBound) / log10(range.upperBound / range.lowerBound) : nil
  }

  /// Multiples of 1, 2 or 5 times a power of ten.
  private static func evenTicks(in range: ClosedRange<Double>, count: Int) -> [Double] {
    let rough = (range.upperBound - range.lowerBound) / Double(count)
    let power = pow(10, floor(log10(rough)))
    let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough } ?? 10 * power
    let first = Int((range.lowerBound / step).rounded(.up)), last = Int((range.upperBound / step).rounded(.down))
    return first <= last ? (first...last).map { Double($0) * step } : []
  }

  /// Powers of ten, and their doubles and fivefolds where there are few.
  private static func logarithmicTicks(in range: ClosedRange<Double>, count: Int) -> [Double] {
    let exponents = Int(floor(log10(range.lowerBound)))...Int(ceil(log10(range.upperBound)))
    func ticks(_ factors: [Double], every step: Int) -> [Double] {
      exponents.filter { $0 % step == 0 }.flatMap { exponent in factors.map { $0 * pow(10, Double(exponent)) } }
        .filter(range.contains)
    }
    let candidates = [
      ticks([1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9], every: 1), ticks([1, 2, 5], every: 1), ticks([1, 3], every: 1), ticks([1], every: 1),
      ticks([1], every: 2), ticks([1], every: 3), ticks([1], every: 6),
    ]
    return candidates.first { $0.count <= count + 2 } ?? []
  }

  /// A tick's label: 0.05, 12, 1,500, 20k, 3M.
  static func label(_ value: Double) -> String {
    let magnitude = abs(value)
    if magnitude >= 1e6 { return short(value / 1e6) + "M" }
    if magnitude >= 1e4 { return short(value / 1e3) + "k" }
    if magnitude >= 1e-4 || magnitude == 0 { return short(value) }
    let exponent = Int(floor(log10(magnitude)))
    return "\(short(value / pow(10, Double(exponent))))e\(exponent)"
  }

  private static func short(_ value: Double) -> String { String(format: "%.6g", (value * 1e9).rounded() / 1e9) }
}
