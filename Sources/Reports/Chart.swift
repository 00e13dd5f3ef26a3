/// Lines, marks and bands over two axes, drawn as SVG.
public struct Chart: Sendable {
  public struct Axis: Sendable {
    /// What the values are, with their unit.
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
    /// Ends of an interval around y; nil for none.
    public var interval: ClosedRange<Double>?
    /// Written beside it.
    public var label: String?

    public init(x: Double, y: Double, interval: ClosedRange<Double>? = nil, label: String? = nil) {
      self.x = x
      self.y = y
      self.interval = interval
      self.label = label
    }
  }

  /// One without points keeps its colour from others, so that charts of the same series agree, and is not in the legend.
  public struct Series: Sendable {
    public enum Style: Sendable {
      /// Points joined, their intervals a band.
      case line
      /// Marks, their intervals bars.
      case marks
      /// Points joined by steps down to the right, dotted and without a colour: a Pareto front.
      case front
      /// Points joined, dashed and without a colour: what others are compared with.
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
  /// What a reader must know to read it, such as what bands are; empty for nothing.
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
