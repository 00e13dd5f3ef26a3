import Foundation

/// The elements of a chart at their positions.
struct ChartDrawing {
  typealias Place = (x: Double, y: Double)

  private(set) var elements: [String] = []
  private let format: Chart.Format
  private let width: Double
  private var height: Double
  /// The edges of the plot.
  private let left, right, top, bottom: Double
  private let x, y: ChartScale
  /// The scale of marks that no line joins; smaller if there are many.
  private let markScale: Double
  /// The places that labels of points occupy, so that none overlaps another.
  private var taken: [(x: Double, y: Double, width: Double)] = []

  /// The approximate width of a letter of each size. Fonts differ, so it is on the large side.
  private static let letter = 7.0, smallLetter = 6.4, titleLetter = 8.6

  init(_ chart: Chart, format: Chart.Format, hasTitle: Bool) {
    self.format = format
    let isWide = format == .wide
    width = isWide ? 800 : 380
    let points = chart.series.flatMap(\.points)
    x = ChartScale(points.map(\.x), isLogarithmic: chart.x.isLogarithmic, tickCount: isWide ? 8 : 4)
    y = ChartScale(Self.shownHeights(chart), isLogarithmic: chart.y.isLogarithmic, tickCount: isWide ? 7 : 5)
    markScale = chart.series.lazy.filter { $0.style == .marks }.map(\.points.count).reduce(0, +) > 40 ? 0.8 : 1
    let longestLabel = y.labels.map(\.count).max() ?? 0
    let named = chart.series.filter { !$0.points.isEmpty }
    left = 40 + Self.smallLetter * Double(longestLabel)
    right = isWide ? width - 48 - Self.letter * Double(named.map { Self.shortened($0.name).count }.max() ?? 0) : width - 14
    let title = hasTitle ? Self.lines(chart.title, letters: Int((width - 40) / Self.titleLetter)) : []
    let note = hasTitle ? Self.lines(chart.note, letters: Int((width - 40) / Self.smallLetter)) : []
    top = 14 + (title.isEmpty && note.isEmpty ? 0 : 14 + 20 * Double(title.count) + 16 * Double(note.count))
    bottom = top + (isWide ? 350 : 280)
    height = bottom + 54
    for (row, line) in title.enumerated() { add(text: line, (20, 28 + 20 * Double(row)), class: "title") }
    for (row, line) in note.enumerated() {
      add(text: line, (20, 26 + 20 * Double(title.count) + 16 * Double(row)), class: "small")
    }

    drawAxes(chart)
    let looks = Self.looks(of: chart.series)
    for (series, look) in zip(chart.series, looks) where series.style == .line { drawBand(series, look) }
    for (series, look) in zip(chart.series, looks) { draw(series, look) }
    drawLegend(zip(chart.series, looks).filter { !$0.0.points.isEmpty })
    // Labels keep clear of marks.
    taken = points.compactMap { place($0).map { ($0.x - 5, $0.y + 4, 10) } }
    for series in chart.series { drawLabels(series) }
  }

  /// The attributes of the `svg` element for its size.
  var size: String {
    "viewBox=\"0 0 \(number(width)) \(number(height))\" width=\"\(number(width))\" height=\"\(number(height))\""
  }

  /// The values the vertical axis must show: all points, and as much of their intervals as leaves the larger part of
  /// the axis to the points.
  private static func shownHeights(_ chart: Chart) -> [Double] {
    let isLogarithmic = chart.y.isLogarithmic
    let points = chart.series.flatMap(\.points)
    let values = points.map(\.y).filter { $0.isFinite && (!isLogarithmic || $0 > 0) }
    guard let low = values.min(), let high = values.max() else { return [] }
    let lowest: Double, highest: Double
    if isLogarithmic {
      let room = max(pow(high / low, 0.15), 2)
      (lowest, highest) = (low / room, high * room)
    } else {
      let room = high > low ? 0.25 * (high - low) : .infinity
      (lowest, highest) = (low - room, high + room)
    }
    let ends = points.compactMap(\.interval).flatMap { interval in
      [interval.lowerBound, interval.upperBound].map { min(max($0, lowest), highest) }
    }
    return values + ends.filter(\.isFinite)
  }

  // MARK: Places

  private func place(_ point: Chart.Point) -> Place? {
    guard let across = x.position(point.x), let up = y.position(point.y) else { return nil }
    return (left + across * (right - left), bottom - up * (bottom - top))
  }

  /// The ends of a point's interval, cut to the plot; nil if there is nothing to show.
  private func ends(_ point: Chart.Point) -> (low: Double, high: Double)? {
    guard let interval = point.interval, interval.upperBound >= y.range.lowerBound, interval.lowerBound <= y.range.upperBound,
      let low = y.position(max(interval.lowerBound, y.range.lowerBound)),
      let high = y.position(min(interval.upperBound, y.range.upperBound))
    else { return nil }
    return (bottom - low * (bottom - top), bottom - high * (bottom - top))
  }

  // MARK: Axes

  private mutating func drawAxes(_ chart: Chart) {
    for (tick, label) in zip(y.ticks, y.labels) {
      guard let up = y.position(tick) else { continue }
      let at = bottom - up * (bottom - top)
      add(line: (left, at), to: (right, at), class: "grid")
      add(text: label, (left - 8, at + 4), class: "small", anchor: "end")
    }
    for (tick, label) in zip(x.ticks, x.labels) {
      guard let across = x.position(tick) else { continue }
      let at = left + across * (right - left)
      add(line: (at, top), to: (at, bottom), class: "grid")
      add(text: label, (at, bottom + 18), class: "small", anchor: "middle")
    }
    for tick in y.minorTicks {
      guard let up = y.position(tick) else { continue }
      let at = bottom - up * (bottom - top)
      add(line: (left, at), to: (left + 4, at), class: "axis")
    }
    for tick in x.minorTicks {
      guard let across = x.position(tick) else { continue }
      let at = left + across * (right - left)
      add(line: (at, bottom - 4), to: (at, bottom), class: "axis")
    }
    add(line: (left, bottom), to: (right, bottom), class: "axis")
    add(line: (left, top), to: (left, bottom), class: "axis")
    add(text: chart.x.label, ((left + right) / 2, bottom + 40), anchor: "middle")
    add(text: chart.y.label, (18, (top + bottom) / 2), anchor: "middle", isRotated: true)
  }

  // MARK: Series

  /// The appearance of a series: its colour, and dashes and shapes when colours repeat.
  private struct Look {
    /// The index among the series that have a colour.
    let index: Int

    var color: Int { index % Chart.colorCount }
    /// The dashes, from the fourth series on, so that curves on top of each other, such as those of backward and tail
    /// orders, all remain visible.
    var dash: String { index < 3 ? "" : " stroke-dasharray=\"\(["6 3", "2 3", "9 3 2 3", "4 2"][(index - 3) % 4])\"" }
    var mark: String { index / Chart.colorCount % 2 == 0 ? "mark f\(color)" : "hollow s\(color)" }
    /// The shape of marks that no line joins.
    var shape: Int { index % 5 }
  }

  private static func looks(of series: [Chart.Series]) -> [Look] {
    var next = 0
    return series.map { series in
      defer { if series.style == .line || series.style == .marks { next += 1 } }
      return Look(index: next)
    }
  }

  private func path(_ places: [Place]) -> String {
    "M" + places.map { "\(number($0.x)) \(number($0.y))" }.joined(separator: "L")
  }

  private mutating func drawBand(_ series: Chart.Series, _ look: Look) {
    let band = series.points.compactMap { point in
      place(point).flatMap { at in ends(point).map { (x: at.x, low: $0.low, high: $0.high) } }
    }
    guard band.count > 1 else { return }
    let outline = band.map { (x: $0.x, y: $0.high) } + band.reversed().map { (x: $0.x, y: $0.low) }
    elements.append("<path d=\"\(path(outline))Z\" class=\"band f\(look.color)\"/>")
  }

  private mutating func draw(_ series: Chart.Series, _ look: Look) {
    let placed = series.points.compactMap { point in place(point).map { (point, $0) } }
    let places = placed.map(\.1)
    switch series.style {
    case .line:
      if places.count > 1 { elements.append("<path d=\"\(path(places))\" class=\"line s\(look.color)\"\(look.dash)/>") }
      if places.count <= 12 { for place in places { addDot(at: place, radius: 2.5, look) } }
    case .marks:
      for (point, at) in placed {
        if let ends = ends(point) { add(line: (at.x, ends.low), to: (at.x, ends.high), class: "bar s\(look.color)") }
        addMark(at: at, look)
      }
    case .front:
      let corners = zip(places, places.dropFirst()).flatMap { [$0, (x: $1.x, y: $0.y)] }
      if let last = places.last, places.count > 1 { elements.append("<path d=\"\(path(corners + [last]))\" class=\"front\"/>") }
    case .reference:
      if places.count > 1 { elements.append("<path d=\"\(path(places))\" class=\"reference\"/>") }
    }
  }

  private mutating func addDot(at place: Place, radius: Double, _ look: Look) {
    elements.append("<circle cx=\"\(number(place.x))\" cy=\"\(number(place.y))\" r=\"\(number(radius))\" class=\"\(look.mark)\"/>")
  }

  /// Adds a circle, a square, a diamond or a triangle, all of about the same size.
  private mutating func addMark(at place: Place, _ look: Look) {
    let corners: [Place] =
      switch look.shape {
      case 1: [(-4.4, -4.4), (4.4, -4.4), (4.4, 4.4), (-4.4, 4.4)]
      case 2: [(0, -6.2), (6.2, 0), (0, 6.2), (-6.2, 0)]
      case 3: [(0, -6), (5.8, 4.2), (-5.8, 4.2)]
      case 4: [(0, 6), (5.8, -4.2), (-5.8, -4.2)]
      default: []
      }
    guard !corners.isEmpty else { return addDot(at: place, radius: 5 * markScale, look) }
    let moved = corners.map { (x: place.x + markScale * $0.x, y: place.y + markScale * $0.y) }
    elements.append("<path d=\"\(path(moved))Z\" class=\"\(look.mark)\"/>")
  }

  // MARK: Legend and labels

  private mutating func drawLegend(_ series: [(Chart.Series, Look)]) {
    var at: Place = format == .wide ? (right + 14, top + 8) : (left - 20, bottom + 64)
    for (series, look) in series {
      let name = Self.shortened(series.name)
      let needed = 40 + Self.letter * Double(name.count)
      if format == .narrow, at.x + needed > width, at.x > left - 20 { at = (left - 20, at.y + 20) }
      switch series.style {
      case .marks: addMark(at: (at.x + 10, at.y), look)
      case .line:
        if series.points.contains(where: { $0.interval != nil }) {
          elements.append(
            "<rect x=\"\(number(at.x))\" y=\"\(number(at.y - 5))\" width=\"20\" height=\"10\" class=\"band f\(look.color)\"/>")
        }
        elements.append("<path d=\"\(path([at, (at.x + 20, at.y)]))\" class=\"line s\(look.color)\"\(look.dash)/>")
      case .front: add(line: at, to: (at.x + 20, at.y), class: "front")
      case .reference: add(line: at, to: (at.x + 20, at.y), class: "reference")
      }
      let tooltip = name == series.name ? "" : "<title>\(escaped(series.name))</title>"
      elements.append("<text x=\"\(number(at.x + 26))\" y=\"\(number(at.y + 4))\">\(tooltip)\(escaped(name))</text>")
      height = max(height, at.y + 16)
      at = format == .wide ? (at.x, at.y + 20) : (at.x + needed, at.y)
    }
  }

  /// Draws the labels of points beside them if there is room.
  private mutating func drawLabels(_ series: Chart.Series) {
    for point in series.points {
      guard let label = point.label, let at = place(point) else { continue }
      let length = Self.smallLetter * Double(label.count)
      let beside = [(at.x + 9, at.y - 6), (at.x + 9, at.y + 14), (at.x - 9 - length, at.y - 6), (at.x - 9 - length, at.y + 14)]
      // A line that rises or falls would cross a label beside its points.
      let choices = series.style == .line ? [(at.x - length / 2, at.y - 10)] + beside : beside
      let free = choices.first { choice in
        choice.0 > left && choice.0 + length < right && choice.1 < bottom && choice.1 > top + 10
          && !taken.contains { abs($0.y - choice.1) < 12 && $0.x < choice.0 + length && choice.0 < $0.x + $0.width }
      }
      guard let free else { continue }
      taken.append((free.0, free.1, length))
      add(text: label, free, class: "small label")
    }
  }

  /// A name whose middle is left out if it is long, as a file's path may be.
  private static func shortened(_ name: String) -> String {
    name.count <= 26 ? name : name.prefix(10) + "…" + name.suffix(15)
  }

  /// Breaks a text at spaces into lines of at most `letters` letters. What does not fit into three lines is left out.
  private static func lines(_ text: String, letters: Int) -> [String] {
    var lines: [String] = []
    for word in text.split(separator: " ") {
      if let last = lines.last, last.count + 1 + word.count <= letters {
        lines[lines.count - 1] += " " + word
      } else {
        lines.append(word.count <= letters ? String(word) : word.prefix(letters - 1) + "…")
      }
    }
    return lines.count <= 3 ? lines : lines.prefix(2) + [lines[2] + " …"]
  }

  // MARK: Elements

  private mutating func add(
    text: String, _ at: Place, class name: String = "", anchor: String = "start", isRotated: Bool = false
  ) {
    let (x, y) = (number(at.x), number(at.y))
    let turn = isRotated ? " transform=\"rotate(-90 \(x) \(y))\"" : ""
    let kind = name.isEmpty ? "" : " class=\"\(name)\""
    elements.append("<text x=\"\(x)\" y=\"\(y)\" text-anchor=\"\(anchor)\"\(kind)\(turn)>\(escaped(text))</text>")
  }

  private mutating func add(line from: Place, to: Place, class name: String) {
    elements.append(
      "<line x1=\"\(number(from.x))\" y1=\"\(number(from.y))\" x2=\"\(number(to.x))\" y2=\"\(number(to.y))\" class=\"\(name)\"/>")
  }
}

/// A coordinate, rounded to a tenth.
private func number(_ value: Double) -> String { String(format: "%g", (value * 10).rounded() / 10) }
