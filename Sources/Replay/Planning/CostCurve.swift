/// A least cost as a function of a distance x ≥ 0: the minimum of lines a + b x, where b is the number of times that
/// the distance is covered. Only lines that are the minimum somewhere are kept.
struct CostCurve {
  struct Line {
    /// The number of times that the distance is covered.
    var slope: Double
    var intercept: Double

    func callAsFunction(_ x: Double) -> Double { slope == 0 ? intercept : intercept + slope * x }
  }

  /// The lines in ascending order of slope and so in descending order of intercept. The first is the minimum at large
  /// x, the last at 0.
  private(set) var lines: [Line]

  /// Makes a cost that is the same at any distance.
  init(_ value: Double) {
    lines = [Line(slope: 0, intercept: value)]
  }

  /// - Parameter lines: The lines of another curve, in ascending order of slope.
  init(stored lines: some Collection<Line>) {
    self.lines = Array(lines)
  }

  /// Makes the minimum of some lines, at least one.
  init(least candidates: [Line]) {
    lines = []
    for line in candidates.sorted(by: { ($0.slope, $0.intercept) < ($1.slope, $1.intercept) }) {
      if let last = lines.last, line.intercept >= last.intercept { continue }
      while lines.count > 1, Self.isNowhereLeast(lines[lines.count - 1], lines[lines.count - 2], line) { lines.removeLast() }
      lines.append(line)
    }
  }

  /// Whether `line` is nowhere below both a flatter and a steeper line.
  private static func isNowhereLeast(_ line: Line, _ flatter: Line, _ steeper: Line) -> Bool {
    (line.intercept - steeper.intercept) * (line.slope - flatter.slope)
      >= (flatter.intercept - line.intercept) * (steeper.slope - line.slope)
  }

  /// The value at `x`, which may be infinite.
  func value(at x: Double) -> Double {
    var least = lines[lines.count - 1](x)
    for line in lines.dropLast().reversed() {
      let value = line(x)
      // At a fixed x the values of the lines, in order of slope, have a single minimum.
      guard value <= least else { break }
      least = value
    }
    return least
  }

  /// The cost as a function of the distance to a place that is nearer by `length`.
  func shifted(by length: Double) -> CostCurve {
    var curve = self
    for index in lines.indices { curve.lines[index].intercept += lines[index].slope * length }
    while curve.lines.count > 1, curve.lines[curve.lines.count - 1].intercept >= curve.lines[curve.lines.count - 2].intercept {
      curve.lines.removeLast()
    }
    return curve
  }

  /// The cost if the distance is covered `times` more often and `cost` is added.
  func adding(_ cost: Double, times: Double = 0) -> CostCurve {
    var curve = self
    for index in lines.indices {
      curve.lines[index].slope += times
      curve.lines[index].intercept += cost
    }
    return curve
  }

  /// The curve for distances of at least `least`.
  func from(_ least: Double) -> CostCurve {
    var curve = self
    while curve.lines.count > 1, curve.end(of: curve.lines.count - 2) <= least { curve.lines.removeLast() }
    return curve
  }

  /// The curve with at most `most` lines (at least 2), evenly chosen. It is nowhere below the original.
  func thinned(to most: Int) -> CostCurve {
    guard lines.count > most else { return self }
    return CostCurve(stored: (0..<most).map { lines[$0 * (lines.count - 1) / (most - 1)] })
  }

  static func + (a: CostCurve, b: CostCurve) -> CostCurve {
    if b.lines.count == 1 { return a.adding(b.lines[0].intercept, times: b.lines[0].slope) }
    var sum: [Line] = []
    sum.reserveCapacity(a.lines.count + b.lines.count - 1)
    var (i, j) = (0, 0)
    while true {
      sum.append(Line(slope: a.lines[i].slope + b.lines[j].slope, intercept: a.lines[i].intercept + b.lines[j].intercept))
      let (x, y) = (a.end(of: i), b.end(of: j))
      guard max(x, y) > -.infinity else { break }
      if x >= y { i += 1 }
      if y >= x { j += 1 }
    }
    return CostCurve(stored: sum)
  }

  /// The smallest distance at which line `index` is the minimum; −∞ for the last line.
  private func end(of index: Int) -> Double {
    guard index + 1 < lines.count else { return -.infinity }
    let (line, next) = (lines[index], lines[index + 1])
    return (line.intercept - next.intercept) / (next.slope - line.slope)
  }
}
