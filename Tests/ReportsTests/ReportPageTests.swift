import Foundation
import Reports
import TestSupport
import Testing

@Suite struct ReportPageTests {
  private func page(_ name: String) -> ReportPage {
    let table = Table(header: [name, "b"], rows: [[name, "1"], ["c", name]], alignment: [.left, .right], marked: [1])
    let chart = Chart(
      title: name, note: name, x: Chart.Axis(name), y: Chart.Axis(name),
      series: [Chart.Series(name, points: [Chart.Point(x: 1, y: 1, interval: 0...2, label: name), Chart.Point(x: 2, y: 3)])])
    return ReportPage(
      title: name, subtitle: name,
      sections: [
        .init(
          name,
          [
            .paragraph(name), .notice(name), .list([name, name]), .command(name), .table(table),
            .facts(Table(rows: [[name, name]], alignment: [.left, .left])), .chart(chart),
          ]),
        .init("empty", []),
      ])
  }

  @Test(arguments: hostileNames)
  func hostileNamesComeOutAsText(name: String) throws {
    let xml = try XMLDocument(page(name).html()), plain = try XMLDocument(page("a").html())
    #expect(xml.elements.map(\.name).filter { $0 != "title" } == plain.elements.map(\.name).filter { $0 != "title" })
    #expect(!xml.elements.contains { $0.name == "script" || $0.attributes.keys.contains { $0.hasPrefix("on") } })
    let readable = String(
      String.UnicodeScalarView(name.unicodeScalars.map { ["\u{0}", "\u{8}", "\u{FFFF}"].contains($0) ? "\u{FFFD}" : $0 }))
    for element in ["h1", "h2", "li", "code", "td"] {
      #expect(xml.texts(element).contains { Array($0.unicodeScalars) == Array(readable.unicodeScalars) }, "\(element)")
    }
    #expect(xml.all("p").count { Array($0.text.unicodeScalars) == Array(readable.unicodeScalars) } == 3)
  }

  /// The page loads nothing and runs no code.
  @Test func thePageIsWhole() throws {
    let html = try page("name").html()
    #expect(html.hasPrefix("<!DOCTYPE html>\n<html"))
    let xml = try XMLDocument(html)
    for name in ["script", "link", "img", "iframe", "object", "base", "use", "image", "foreignObject"] {
      #expect(xml.all(name).isEmpty, "\(name)")
    }
    let namespaces = ["http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"]
    let rest = namespaces.reduce(html) { $0.replacing("xmlns=\"\($1)\"", with: "") }
    for word in ["http:", "https:", "url(", "@import", "src=", "href", "//"] { #expect(!rest.contains(word), "\(word)") }
    #expect(!html.contains("{{") && !html.contains("}}}"))
  }

  @Test func blocksKeepTheirOrderAndTheirMarks() throws {
    let page = ReportPage(
      title: "t",
      sections: [
        .init(
          "s",
          [
            .paragraph("one"), .command("two"), .paragraph("three"),
            .table(Table(header: ["a", "b"], rows: [["x", "1"], ["y", "2"]], alignment: [.left, .right], marked: [1])),
            .table(Table(rows: [["z"]], alignment: [.left])),
          ])
      ])
    let xml = try XMLDocument(page.html())
    let texts = xml.elements.filter { ["p", "code", "td"].contains($0.name) }.map(\.text).filter { !$0.isEmpty }
    #expect(texts == ["one", "two", "three", "x", "1", "y", "2", "z"])
    #expect(xml.all("tr").map { $0.attributes["class"] } == [nil, nil, "marked", nil])
    #expect(xml.all("td").map { $0.attributes["class"] } == [nil, "number", nil, "number", nil])
    #expect(xml.texts("th") == ["a", "b"])
    #expect(xml.all("thead").count == 1)
  }

  /// The page contains both drawings of a chart, of which the style sheet shows one depending on the width of the
  /// window.
  @Test func chartsAreDrawnForBothWidths() throws {
    let xml = try XMLDocument(page("a").html())
    let classes = xml.all("svg").compactMap { $0.attributes["class"] }
    #expect(classes == ["backtrail wide", "backtrail narrow"])
    let widths = xml.all("svg").compactMap { $0.attributes["width"].flatMap(Double.init) }
    #expect(widths.count == 2 && widths[0] <= 960 && widths[1] <= 390)
    let style = try #require(xml.texts("style").first)
    for rule in [".wide { display: none }", ".narrow { display: none }", ".backtrail .grid{", "prefers-color-scheme: dark", "@media print"] {
      #expect(style.contains(rule), "\(rule)")
    }
    // The style sheet is not repeated for each chart.
    #expect(xml.all("style").count == 1)
  }
}
