extension Chart {
  /// The medium that a drawing is made for.
  package enum Format: CaseIterable {
    /// A desktop window or paper, with the legend beside the plot.
    case wide
    /// A phone, with the legend below the plot.
    case narrow
  }

  /// The chart as a file of its own. It is readable on light and dark backgrounds: colours follow the viewer's
  /// scheme.
  public func svg() -> String {
    let drawing = ChartDrawing(self, format: .wide, hasTitle: true)
    return """
      <svg xmlns="http://www.w3.org/2000/svg" \(drawing.size) class="backtrail" role="img">
      <title>\(escaped(title))</title>
      <style>
      \(Self.style)
      </style>
      <rect class="ground" width="100%" height="100%"/>
      \(drawing.elements.joined(separator: "\n"))
      </svg>

      """
  }

  /// The chart as part of a page that contains `style` and shows the chart's title.
  package func figure(_ format: Format) -> String {
    let drawing = ChartDrawing(self, format: format, hasTitle: false)
    return """
      <svg xmlns="http://www.w3.org/2000/svg" \(drawing.size) class="backtrail \(format)" role="img" aria-label="\(escaped(title))">
      \(drawing.elements.joined(separator: "\n"))
      </svg>
      """
  }

  /// A palette that people with impaired colour vision can distinguish (Okabe and Ito 2008), brighter on dark
  /// backgrounds.
  private static let colors: [(light: String, dark: String)] = [
    ("#0072b2", "#56b4e9"), ("#d55e00", "#ff8c42"), ("#009e73", "#2fd0a2"), ("#b5558f", "#e39ac4"),
    ("#b07d00", "#f0c040"), ("#5b5bd6", "#a0a0ff"), ("#6e6e6e", "#b0b0b0"),
  ]

  static var colorCount: Int { colors.count }

  /// The style sheet of all charts. It is light in print, and unless a dark scheme is preferred.
  static var style: String {
    func rules(_ ground: String, _ ink: String, _ faint: String, _ colors: [String]) -> String {
      ([
        ".backtrail .ground{fill:\(ground)}", ".backtrail text{fill:\(ink)}", ".backtrail .grid{stroke:\(faint)}",
        ".backtrail .axis,.backtrail .front,.backtrail .reference{stroke:\(ink)}",
        ".backtrail .mark,.backtrail .label{stroke:\(ground)}", ".backtrail .hollow{fill:\(ground)}",
      ]
        + colors.enumerated().map {
          ".backtrail .s\($0){stroke:\($1)}.backtrail .f\($0){fill:\($1)}"
        }).joined()
    }
    return """
      .backtrail text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}\
      .backtrail .title{font-size:15px;font-weight:600}\
      .backtrail .small{font-size:11px}.backtrail .line{fill:none;stroke-width:1.7;stroke-linejoin:round}\
      .backtrail .front{fill:none;stroke-width:1;stroke-dasharray:2 3}\
      .backtrail .reference{fill:none;stroke-width:1.2;stroke-dasharray:7 4}.backtrail .hollow{stroke-width:2}\
      .backtrail .bar{stroke-width:1.2;stroke-opacity:.4}\
      .backtrail .label{stroke-width:3px;stroke-linejoin:round;paint-order:stroke}\
      .backtrail .band{stroke:none;fill-opacity:.14}.backtrail .grid{stroke-width:1}
      \(rules("#ffffff", "#1f2328", "#e2e6ea", colors.map(\.light)))
      @media screen and (prefers-color-scheme:dark){\(rules("#15191f", "#e6e9ee", "#313842", colors.map(\.dark)))}
      """
  }
}
