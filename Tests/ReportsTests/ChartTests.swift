import Foundation
import Reports
import TestSupport
import Testing

/// Names that break markup if they are not escaped, including a `<` that is not a Swift character of its own, and
/// scalars that XML can't contain.
let hostileNames = [
  "<b>&\"x", "</text><script>alert(1)</script>", "' onload='x", "]]>", "&amp;", "<\u{301}", "\"\u{301}", "a\u{0}\u{8}\u{FFFF}b", "{{title}}",
  "\u{1F1E9}\u{1F1EA}", "<!--", "a\r\nb",
]

@Suite struct ChartTests {
  private func chart(
    _ series: [Chart.Series], x: Bool = false, y: Bool = false, title: String = "title"
  ) -> Chart {
    Chart(
      title: title, x: Chart.Axis("n", isLogarithmic: x), y: Chart.Axis("loss", isLogarithmic: y), series: series)
  }

  private func points(_ values: [Double]) -> [Chart.Point] {
    values.enumerated().map { Chart.Point(x: Double($0 + 1), y: $1) }
  }

  /// All numbers in attributes that contain coordinates.
  private func coordinates(_ xml: XMLDocument) -> [String] {
    let names: Set = ["x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "d", "viewBox", "width", "height", "transform"]
    return xml.elements.filter { $0.attributes["class"] != "ground" }.flatMap { element in
      element.attributes.filter { names.contains($0.key) }.values.flatMap {
        $0.split { " MLZ,()".contains($0) }.map(String.init).filter { $0 != "rotate" }
      }
    }
  }

  private func drawings(_ chart: Chart) -> [String] { [chart.svg()] + Chart.Format.allCases.map(chart.figure) }

  @Test(arguments: hostileNames)
  func hostileNamesComeOutAsText(name: String) throws {
    let chart = Chart(
      title: name, note: name, x: Chart.Axis(name), y: Chart.Axis(name),
      series: [Chart.Series(name, style: .marks, points: [Chart.Point(x: 1, y: 1, label: name), Chart.Point(x: 2, y: 3)])])
    let plain = Chart(
      title: "a", note: "a", x: Chart.Axis("a"), y: Chart.Axis("a"),
      series: [Chart.Series("a", style: .marks, points: [Chart.Point(x: 1, y: 1, label: "a"), Chart.Point(x: 2, y: 3)])])
    let readable = String(
      String.UnicodeScalarView(name.unicodeScalars.map { ["\u{0}", "\u{8}", "\u{FFFF}"].contains($0) ? "\u{FFFD}" : $0 }))
    for (drawing, plainDrawing) in zip(drawings(chart), drawings(plain)) {
      let xml = try XMLDocument(drawing)
      // Names create neither elements nor attributes. The full form of a shortened name is in a title.
      let allowed = name.count > 26 ? ["title"] : []
      let before = try XMLDocument(plainDrawing).elements.map(\.name)
      #expect(xml.elements.map(\.name).filter { !allowed.contains($0) } == before.filter { !allowed.contains($0) })
      #expect(xml.elements.allSatisfy { $0.attributes["onload"] == nil })
      let axes = xml.texts("text").filter { Array($0.unicodeScalars) == Array(readable.unicodeScalars) }
      #expect(axes.count >= 2, "\(xml.texts("text"))")
    }
  }

  /// No contents of a chart lead to coordinates that are not numbers.
  @Test(arguments: [false, true], [false, true])
  func coordinatesAreNumbers(x: Bool, y: Bool) throws {
    let odd: [[Double]] = [
      [], [1], [0], [5, 5, 5], [.nan, 1, .infinity, 2, -.infinity], [.nan], [1e300, -1e300], [1e308, 2], [5e-324, 1e-310], [-1, -2],
      [1e-12, 1e12], [3, 3.0000000001],
    ]
    for values in odd {
      for style in [Chart.Series.Style.line, .marks, .front, .reference] {
        var points = points(values)
        for index in points.indices where points[index].y.isFinite {
          points[index].interval = [
            points[index].y...points[index].y, -Double.infinity...Double.infinity, 0...max(0, points[index].y), 7...8,
          ][index % 4]
        }
        points += [Chart.Point(x: .nan, y: 1), Chart.Point(x: -1, y: 1), Chart.Point(x: .infinity, y: 1)]
        for drawing in drawings(chart([Chart.Series("s", style: style, points: points)], x: x, y: y)) {
          let coordinates = coordinates(try XMLDocument(drawing))
          #expect(coordinates.count > 20)
          for text in coordinates {
            let number = Double(text)
            #expect(number?.isFinite == true && abs(number ?? 0) < 10_000, "\(text) of \(values)")
          }
        }
      }
    }
  }

  @Test func pointsWithoutAPlaceAreLeftOut() throws {
    let values: [Double] = [1, .nan, 4, 0, -2, .infinity, 16]
    func dots(_ y: Bool) throws -> Int {
      try XMLDocument(chart([Chart.Series("s", points: points(values))], y: y).figure(.wide)).all("circle").count
    }
    #expect(try dots(true) == 3)
    #expect(try dots(false) == 5)
  }

  @Test func aPointIsWhereItsAxesSay() throws {
    let xml = try XMLDocument(chart([Chart.Series("s", points: points([10, 20, 30]))]).figure(.wide))
    let y = xml.all("circle").compactMap { $0.attributes["cy"].flatMap(Double.init) }
    #expect(y.count == 3 && y[0] > y[1] && y[1] > y[2])
    #expect(abs(y[0] + y[2] - 2 * y[1]) < 0.3)
    // The grid line labelled 20 goes through the point at 20.
    let label = try #require(xml.all("text").first { $0.text == "20" && $0.attributes["text-anchor"] == "end" })
    #expect(abs(try #require(label.attributes["y"].flatMap(Double.init)) - 4 - y[1]) < 0.2)
  }

  /// A wide interval does not squeeze the values into a corner, and is cut at the end of the plot.
  @Test(arguments: [false, true])
  func intervalsLeaveRoomForValues(log: Bool) throws {
    var narrow = points([1, 2, 3, 4])
    narrow[1].interval = 1.9...2.1
    var wide = narrow
    wide[1].interval = (log ? 1e-9 : -1000)...1000
    func height(_ points: [Chart.Point]) throws -> Double {
      let marks = try XMLDocument(chart([Chart.Series("s", points: points)], y: log).figure(.wide)).all("circle")
      let places = marks.compactMap { $0.attributes["cy"].flatMap(Double.init) }
      return (places.max() ?? 0) - (places.min() ?? 0)
    }
    #expect(try height(wide) > 0.4 * height(narrow))
    #expect(try height(wide) < 0.9 * height(narrow))
  }

  /// Every series has a legend inside the picture and a unique look, however many there are.
  @Test(arguments: [1, 7, 8, 20, 27])
  func legendsOfManySeries(count: Int) throws {
    for style in [Chart.Series.Style.line, .marks] {
      let series = (0..<count).map { Chart.Series("series \($0)", style: style, points: points([1, Double($0 + 2)])) }
      for drawing in drawings(chart(series)) {
        let xml = try XMLDocument(drawing)
        let legends = xml.all("text").filter { $0.text.hasPrefix("series ") }
        #expect(legends.map(\.text) == series.map(\.name))
        let size = try #require(xml.all("svg").first?.attributes["viewBox"]).split(separator: " ").compactMap { Double($0) }
        var taken: [(x: Double, y: Double)] = []
        for legend in legends {
          let x = try #require(legend.attributes["x"].flatMap(Double.init))
          let y = try #require(legend.attributes["y"].flatMap(Double.init))
          #expect(x + 6.5 * Double(legend.text.count) <= size[2] && y + 4 <= size[3], "\(legend.text)")
          #expect(!taken.contains { $0.y == y && abs($0.x - x) < 6.5 * Double(legend.text.count) }, "\(legend.text)")
          taken.append((x, y))
        }
        guard style == .line else { continue }
        let looks = xml.all("path").filter { $0.attributes["class"]?.hasPrefix("line ") == true }
          .map { "\($0.attributes["class"] ?? "") \($0.attributes["stroke-dasharray"] ?? "")" }
        #expect(Set(looks).count == count)
      }
    }
  }

  @Test func aSeriesWithoutPointsKeepsItsColourAndHasNoLegend() throws {
    let all = [Chart.Series("a", points: points([1, 2])), Chart.Series("b", points: []), Chart.Series("c", points: points([2, 3]))]
    let xml = try XMLDocument(chart(all).figure(.wide))
    #expect(!xml.texts("text").contains("b"))
    let lines = xml.all("path").compactMap { $0.attributes["class"] }.filter { $0.hasPrefix("line") }
    #expect(Set(lines) == ["line s0", "line s2"])
  }

  @Test func longNamesAreShortenedAndLongTitlesBroken() throws {
    let name = "file:" + String(repeating: "a-long-folder/", count: 20) + "orders.txt"
    let words = Array(repeating: "learning rate 0.05", count: 8).joined(separator: ", ")
    let xml = try XMLDocument(chart([Chart.Series(name, points: points([1, 2]))], title: words).svg())
    let legend = try #require(xml.texts("text").first { $0.hasPrefix("file:") })
    #expect(legend.count <= 26 && legend.hasSuffix("orders.txt"))
    #expect(xml.texts("title").contains(name))
    let titles = xml.all("text").filter { $0.attributes["class"] == "title" }
    #expect(titles.count == 2)
    #expect(titles.map(\.text).joined(separator: " ") == words)
    #expect(titles.allSatisfy { $0.text.count < 95 })
  }

  /// Labels of points stay inside the plot and do not overlap; those without room are left out.
  @Test func labelsOfPointsDoNotOverlap() throws {
    let crowd = (0..<60).map { Chart.Point(x: Double($0 % 9), y: Double($0 % 7), label: "every:\($0)") }
    let xml = try XMLDocument(chart([Chart.Series("s", style: .marks, points: crowd)]).figure(.wide))
    let labels = xml.all("text").filter { $0.attributes["class"]?.contains("label") == true }
    #expect(labels.count > 10)
    let places = labels.map { label in
      (x: Double(label.attributes["x"] ?? "") ?? 0, y: Double(label.attributes["y"] ?? "") ?? 0, width: 6 * Double(label.text.count))
    }
    for (index, a) in places.enumerated() {
      for b in places[..<index] {
        #expect(abs(a.y - b.y) >= 12 || a.x + a.width <= b.x || b.x + b.width <= a.x)
      }
    }
  }
}
