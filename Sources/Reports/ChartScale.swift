import Foundation

/// The scale of an axis: it maps values to positions and places ticks.
package struct ChartScale {
  package let isLogarithmic: Bool
  /// The ends of the axis.
  package let range: ClosedRange<Double>
  /// The values with a grid line and a label, in ascending order.
  package let ticks: [Double]
  /// The labels of the ticks, in the same order.
  package let labels: [String]
  /// The values with a short mark and no label: 2, 3, … 9 of each decade of a logarithmic axis.
  package let minorTicks: [Double]

  /// - Parameters:
  ///   - values: The values to show. Those that the axis can't show are left out.
  ///   - isLogarithmic: Whether the axis is logarithmic. It then can't show values that are not positive.
  ///   - tickCount: The approximate number of ticks.
  package init(_ values: [Double], isLogarithmic: Bool, tickCount: Int) {
    self.isLogarithmic = isLogarithmic
    let shown = values.compactMap { Self.shown($0, isLogarithmic: isLogarithmic, within: 1e300) }
    let low = shown.min() ?? (isLogarithmic ? 1 : 0), high = shown.max() ?? (isLogarithmic ? 10 : 1)
    // Values that labels could not distinguish are drawn as one value in the middle.
    let isOneValue = high - low <= 1e-7 * max(abs(low), abs(high))
    let even: [Double]
    if isLogarithmic {
      let free = isOneValue ? log10(2) : (log10(high) - log10(low)) * Self.freeShare
      range = max(low * pow(10, -free), 1e-305)...min(high * pow(10, free), 1e305)
      let decades = Self.logarithmicTicks(in: range, count: tickCount)
      minorTicks = Self.minorTicks(in: range)
      even = decades.count < 2 ? Self.evenTicks(in: range, count: tickCount) : []
      ticks = decades.count < 2 ? even : decades
    } else {
      let free = isOneValue ? (high == 0 ? 1 : abs(high) / 2) : (high - low) * Self.freeShare
      range = low - free...high + free
      even = Self.evenTicks(in: range, count: tickCount)
      ticks = even
      minorTicks = []
    }
    labels = even.isEmpty ? Self.logarithmicLabels(ticks) : Self.evenLabels(ticks)
  }

  /// The fraction of the axis left free at each end.
  private static let freeShare = 0.04

  /// The position of a value: 0 at the lower end, 1 at the upper end; nil if the axis can't show it.
  package func position(_ value: Double) -> Double? {
    guard let value = Self.shown(value, isLogarithmic: isLogarithmic, within: 1e305) else { return nil }
    let (low, high) = (range.lowerBound, range.upperBound)
    return isLogarithmic
      ? (log10(value) - log10(low)) / (log10(high) - log10(low)) : (value - low) / (high - low)
  }

  /// A value within the range of the axis's arithmetic: nil if it is larger than the limit, and 0 if it is smaller
  /// than the inverse of the limit.
  private static func shown(_ value: Double, isLogarithmic: Bool, within limit: Double) -> Double? {
    guard value.isFinite, abs(value) <= limit else { return nil }
    let value = abs(value) < 1 / limit ? 0 : value
    return isLogarithmic && value <= 0 ? nil : value
  }
}

// MARK: Ticks

extension ChartScale {
  /// The multiples of 1, 2 or 5 times a power of ten.
  private static func evenTicks(in range: ClosedRange<Double>, count: Int) -> [Double] {
    let rough = (range.upperBound - range.lowerBound) / Double(count)
    let power = pow(10, floor(log10(rough)))
    let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough } ?? 10 * power
    let first = Int((range.lowerBound / step).rounded(.up)), last = Int((range.upperBound / step).rounded(.down))
    return first <= last ? (first...last).map { Double($0) * step } : []
  }

  /// Powers of ten, and values between them if there are few. On a short axis there may be fewer than two.
  private static func logarithmicTicks(in range: ClosedRange<Double>, count: Int) -> [Double] {
    func ticks(_ factors: [Double], every step: Int) -> [Double] {
      exponents(of: range).filter { $0 % step == 0 }.flatMap { exponent in factors.map { $0 * pow(10, Double(exponent)) } }
        .filter(range.contains)
    }
    let candidates = [
      ticks([1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9], every: 1), ticks([1, 2, 5], every: 1), ticks([1, 3], every: 1),
    ]
    let sparse = [1, 2, 3, 6, 12, 24, 48, 96].map { ticks([1], every: $0) }
    return (candidates + sparse).first { $0.count <= count + 1 } ?? []
  }

  private static func minorTicks(in range: ClosedRange<Double>) -> [Double] {
    let exponents = exponents(of: range)
    guard exponents.count <= 9 else { return [] }
    return exponents.flatMap { exponent in (2...9).map { Double($0) * pow(10, Double(exponent)) } }.filter(range.contains)
  }

  private static func exponents(of range: ClosedRange<Double>) -> ClosedRange<Int> {
    Int(floor(log10(range.lowerBound)))...Int(ceil(log10(range.upperBound)))
  }
}

// MARK: Labels

extension ChartScale {
  /// The labels of evenly spaced ticks, all in one unit and with as many decimals as tell them apart: 0.05, 12, 5k,
  /// 1.5M.
  static func evenLabels(_ ticks: [Double]) -> [String] {
    let largest = ticks.map(abs).max() ?? 0
    guard largest > 0 else { return ticks.map { _ in "0" } }
    let step = ticks.count > 1 ? ticks[1] - ticks[0] : largest
    if largest >= 1e15 || largest < 1e-4 {
      let exponent = Int(floor(log10(largest) + 1e-9))
      let power = pow(10, Double(exponent))
      return ticks.map { $0 == 0 ? "0" : fixed($0 / power, decimals: decimals(step / power)) + "×10" + raised(exponent) }
    }
    // A unit is used if it leaves at most two decimals.
    let unit = units.first { largest >= max(0.99 * $0.value, 1e4) && step >= 0.0099 * $0.value } ?? (1, "")
    return ticks.map { $0 == 0 ? "0" : fixed($0 / unit.value, decimals: decimals(step / unit.value)) + unit.name }
  }

  /// The labels of the ticks of a logarithmic axis: 0.002, 1, 500, 20k, 3M, 10⁻⁶.
  static func logarithmicLabels(_ ticks: [Double]) -> [String] {
    ticks.map { tick in
      if tick >= 0.99e15 || tick < 0.99e-4 {
        let exponent = Int(floor(log10(tick) + 1e-9))
        let mantissa = String(format: "%.3g", tick / pow(10, Double(exponent)))
        return (mantissa == "1" ? "" : mantissa + "×") + "10" + raised(exponent)
      }
      let unit = units.first { tick >= 0.99 * $0.value } ?? (1, "")
      return String(format: "%.3g", tick / unit.value) + unit.name
    }
  }

  private static let units: [(value: Double, name: String)] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")]

  /// The number of decimals that multiples of `step` need, which is 1, 2 or 5 times a power of ten.
  private static func decimals(_ step: Double) -> Int { max(0, -Int(floor(log10(step) + 1e-6))) }

  private static func fixed(_ value: Double, decimals: Int) -> String {
    (value < 0 ? "−" : "") + String(format: "%.\(decimals)f", abs(value))
  }

  private static func raised(_ exponent: Int) -> String {
    let digits = Array("⁰¹²³⁴⁵⁶⁷⁸⁹")
    return (exponent < 0 ? "⁻" : "") + String(String(exponent.magnitude).compactMap { $0.wholeNumberValue.map { digits[$0] } })
  }
}
