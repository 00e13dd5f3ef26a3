/// Lines, marks and bands over two axes, drawn as SVG.
public struct Chart: Sendable {
  public struct Axis: Sendable {
    /// The quantity on the axis, with its unit.
    public var label: String
    public var isLogarithmic: Bool

    public init(_ label: String, isLogarithmic: Bool = false) {
      self.label = label
      self.isLogarithmic = isLogarithmic
    }
  }

  public struct Point: Sendable {
    public var x: Double
    public var y: Double
    /// The ends of an interval around y; nil for none.
    public var interval: ClosedRange<Double>?
    /// A text beside the point.
    public var label: String?

    public init(x: Double, y: Double, interval: ClosedRange<Double>? = nil, label: String? = nil) {
      self.x = x
      self.y = y
      self.interval = interval
      self.label = label
    }
  }

  /// A series of points. One without points still occupies its colour, so that charts of the same series agree, but
  /// is not in the legend.
  public struct Series: Sendable {
    public enum Style: Sendable {
      /// The points are joined by lines, and their intervals form a band.
      case line
      /// The points are marks, and their intervals are bars.
      case marks
      /// The points are joined by dotted steps down to the right, without a colour of their own: a Pareto front.
      case front
      /// The points are joined by a dashed line without a colour of its own: a reference for the others.
      case reference
    }

    public var name: String
    public var style: Style
    public var points: [Point]

    public init(_ name: String, style: Style = .line, points: [Point]) {
      self.name = name
      self.style = style
      self.points = points
    }
  }

  public var title: String
  /// What a reader must know about the chart, such as the meaning of bands; empty for nothing.
  public var note: String
  public var x: Axis
  public var y: Axis
  public var series: [Series]

  public init(title: String, note: String = "", x: Axis, y: Axis, series: [Series]) {
    self.title = title
    self.note = note
    self.x = x
    self.y = y
    self.series = series
  }
}
