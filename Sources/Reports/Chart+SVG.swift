import Foundation

extension Chart {
  /// The chart as a file of its own, readable on light and on dark ground: colours follow the viewer's scheme.
  public func svg() -> String {
    let drawing = ChartDrawing(self)
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(number(drawing.width)) \(number(drawing.height))" \
      width="\(number(drawing.width))" height="\(number(drawing.height))" class="backtrail" role="img">
      <title>\(escaped(title))</title>
      <style>
      \(Self.style)
      </style>
      <rect class="ground" width="100%" height="100%"/>
      \(drawing.elements.joined(separator: "\n"))
      </svg>

      """
  }

  /// A palette that people who see colours differently can tell apart (Okabe and Ito 2008), brighter on dark ground.
  private static let colors: [(light: String, dark: String)] = [
    ("#0072b2", "#56b4e9"), ("#d55e00", "#ff8c42"), ("#009e73", "#2fd0a2"), ("#b5558f", "#e39ac4"),
    ("#b07d00", "#f0c040"), ("#5b5bd6", "#a0a0ff"), ("#6e6e6e", "#b0b0b0"),
  ]

  static var colorCount: Int { colors.count }

  private static var style: String {
    func rules(_ ground: String, _ ink: String, _ faint: String, _ colors: [String]) -> String {
      ([
        ".backtrail .ground{fill:\(ground)}", ".backtrail text{fill:\(ink)}", ".backtrail .grid{stroke:\(faint)}",
        ".backtrail .axis,.backtrail .front,.backtrail .reference{stroke:\(ink)}",
        ".backtrail .mark{stroke:\(ground)}", ".backtrail .hollow{fill:\(ground)}",
      ]
        + colors.enumerated().map {
          ".backtrail .s\($0){stroke:\($1)}.backtrail .f\($0){fill:\($1)}"
        }).joined()
    }
    return """
      .backtrail text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif}.backtrail .title{font-size:15px;font-weight:600}\
      .backtrail .small{font-size:11px}.backtrail .line{fill:none;stroke-width:1.8;stroke-linejoin:round}\
      .backtrail .front{fill:none;stroke-width:1;stroke-dasharray:2 3}\
      .backtrail .reference{fill:none;stroke-width:1.2;stroke-dasharray:7 4}.backtrail .hollow{stroke-width:2}.backtrail .bar{stroke-width:1.2}\
      .backtrail .band{stroke:none;fill-opacity:.18}.backtrail .grid{stroke-width:1}
      \(rules("#ffffff", "#1f2328", "#e2e6ea", colors.map(\.light)))
      @media (prefers-color-scheme:dark){\(rules("#15191f", "#e6e9ee", "#313842", colors.map(\.dark)))}
      """
  }
}

/// The parts of a chart at their places.
private struct ChartDrawing {
  let width = 800.0
  let height = 460.0
  private(set) var elements: [String] = []
  private let left = 78.0, top = 48.0, bottom = 400.0
  private let right: Double
  private let x, y: ChartScale
  /// Where labels of points are, so that none is written over another.
  private var taken: [(x: Double, y: Double, width: Double)] = []

  init(_ chart: Chart) {
    let longest = chart.series.map(\.name.count).max() ?? 0
    right = width - min(230, 48 + 7.4 * Double(longest))
    let points = chart.series.flatMap(\.points)
    x = ChartScale(points.map(\.x), isLogarithmic: chart.x.isLogarithmic, tickCount: 8)
    y = ChartScale(
      points.flatMap { [$0.y, $0.interval?.lowerBound, $0.interval?.upperBound].compactMap { $0 } },
      isLogarithmic: chart.y.isLogarithmic, tickCount: 7)
    add(text: chart.title, x: left, y: 26, class: "title")
    drawAxes(chart)
    var colored = 0
    for (index, series) in chart.series.enumerated() {
      let hasColor = series.style == .line || series.style == .marks
      let look = Look(color: colored % Chart.colorCount, isSecond: colored >= Chart.colorCount)
      draw(series, look)
      drawLegend(series, row: index, look)
      if hasColor { colored += 1 }
    }
    // Labels keep clear of marks.
    taken = points.compactMap { place($0).map { ($0.x - 5, $0.y + 4, 10) } }
    for series in chart.series { drawLabels(series) }
  }

  /// A colour, and whether it is used again: dashed and hollow then.
  private struct Look {
    let color: Int
    let isSecond: Bool

    var dash: String { isSecond ? " stroke-dasharray=\"6 3\"" : "" }
    var mark: String { isSecond ? "hollow s\(color)" : "mark f\(color)" }
  }

  private func place(_ point: Chart.Point) -> (x: Double, y: Double)? {
    guard let across = x.position(point.x), let up = height(point.y) else { return nil }
    return (left + across * (right - left), up)
  }

  private func height(_ value: Double) -> Double? { y.position(value).map { bottom - $0 * (bottom - top) } }

  private mutating func add(text: String, x: Double, y: Double, class name: String = "", anchor: String = "start", rotated: Bool = false) {
    let turn = rotated ? " transform=\"rotate(-90 \(number(x)) \(number(y)))\"" : ""
    let kind = name.isEmpty ? "" : " class=\"\(name)\""
    elements.append("<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\"\(kind)\(turn)>\(escaped(text))</text>")
  }

  private mutating func add(line from: (x: Double, y: Double), to: (x: Double, y: Double), class name: String) {
    elements.append(
      "<line x1=\"\(number(from.x))\" y1=\"\(number(from.y))\" x2=\"\(number(to.x))\" y2=\"\(number(to.y))\" class=\"\(name)\"/>")
  }

  private mutating func drawAxes(_ chart: Chart) {
    for tick in y.ticks {
      guard let at = height(tick) else { continue }
      add(line: (left, at), to: (right, at), class: "grid")
      add(text: ChartScale.label(tick), x: left - 8, y: at + 4, class: "small", anchor: "end")
    }
    for tick in x.ticks {
      guard let across = x.position(tick) else { continue }
      let at = left + across * (right - left)
      add(line: (at, top), to: (at, bottom), class: "grid")
      add(text: ChartScale.label(tick), x: at, y: bottom + 18, class: "small", anchor: "middle")
    }
    add(line: (left, bottom), to: (right, bottom), class: "axis")
    add(line: (left, top), to: (left, bottom), class: "axis")
    add(text: chart.x.label, x: (left + right) / 2, y: bottom + 42, anchor: "middle")
    add(text: chart.y.label, x: 20, y: (top + bottom) / 2, anchor: "middle", rotated: true)
  }

  private mutating func draw(_ series: Chart.Series, _ look: Look) {
    let placed = series.points.compactMap { point in place(point).map { (point, $0) } }
    func path(_ places: [(x: Double, y: Double)], separator: String = "L") -> String {
      "M" + places.map { "\(number($0.x)) \(number($0.y))" }.joined(separator: separator)
    }
    switch series.style {
    case .line:
      let band = placed.compactMap { point, at -> (x: Double, low: Double, high: Double)? in
        guard let interval = point.interval, let low = height(interval.lowerBound), let high = height(interval.upperBound)
        else { return nil }
        return (at.x, low, high)
      }
      if band.count > 1 {
        let outline = band.map { (x: $0.x, y: $0.high) } + band.reversed().map { (x: $0.x, y: $0.low) }
        elements.append("<path d=\"\(path(outline))Z\" class=\"band f\(look.color)\"/>")
      }
      if placed.count > 1 { elements.append("<path d=\"\(path(placed.map(\.1)))\" class=\"line s\(look.color)\"\(look.dash)/>") }
      if placed.count <= 30 { placed.forEach { addMark(at: $0.1, radius: 3, look) } }
    case .marks:
      for (point, at) in placed {
        if let interval = point.interval, let high = height(interval.upperBound) {
          let low = height(max(interval.lowerBound, y.range.lowerBound)) ?? bottom
          add(line: (at.x, low), to: (at.x, high), class: "bar s\(look.color)")
        }
        addMark(at: at, radius: 5, look)
      }
    case .front:
      let corners = zip(placed, placed.dropFirst()).flatMap { [$0.1, (x: $1.1.x, y: $0.1.y)] }
      if let last = placed.last { elements.append("<path d=\"\(path(corners + [last.1]))\" class=\"front\"/>") }
    case .reference:
      if placed.count > 1 { elements.append("<path d=\"\(path(placed.map(\.1)))\" class=\"reference\"/>") }
    }
  }

  private mutating func addMark(at place: (x: Double, y: Double), radius: Double, _ look: Look) {
    elements.append("<circle cx=\"\(number(place.x))\" cy=\"\(number(place.y))\" r=\"\(number(radius))\" class=\"\(look.mark)\"/>")
  }

  private mutating func drawLegend(_ series: Chart.Series, row: Int, _ look: Look) {
    let at = top + 8 + 20 * Double(row)
    switch series.style {
    case .marks: addMark(at: (right + 25, at), radius: 5, look)
    case .line:
      add(line: (right + 14, at), to: (right + 34, at), class: "line s\(look.color)\(look.isSecond ? "\"\(look.dash.dropLast())" : "")")
    case .front: add(line: (right + 14, at), to: (right + 34, at), class: "front")
    case .reference: add(line: (right + 14, at), to: (right + 34, at), class: "reference")
    }
    add(text: series.name, x: right + 40, y: at + 4)
  }

  /// Beside their points, where there is room.
  private mutating func drawLabels(_ series: Chart.Series) {
    for point in series.points {
      guard let label = point.label, let at = place(point) else { continue }
      let length = 6 * Double(label.count)
      let beside = [(at.x + 8, at.y - 6), (at.x + 8, at.y + 14), (at.x - 8 - length, at.y - 6), (at.x - 8 - length, at.y + 14)]
      // A line that rises or falls runs through what stands beside its points.
      let choices = series.style == .line ? [(at.x - length / 2, at.y - 10)] + beside : beside
      let free = choices.first { choice in
        choice.0 > left && choice.0 + length < right && choice.1 < bottom
          && !taken.contains { abs($0.y - choice.1) < 12 && $0.x < choice.0 + length && choice.0 < $0.x + $0.width }
      }
      guard let free else { continue }
      taken.append((free.0, free.1, length))
      add(text: label, x: free.0, y: free.1, class: "small")
    }
  }
}

private func number(_ value: Double) -> String { String(format: "%g", (value * 10).rounded() / 10) }

/// Text as XML has it.
func escaped(_ text: String) -> String {
  text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
}
