import Formats
import Replay
import Tensors

/// What a curve belongs to: a composition order, or a running average of forward's iterates.
public enum Series: Hashable, Sendable {
  case order(CompositionOrder)
  case average(AverageRule)

  public static let forward = Series.order(.forward)
  public static let backward = Series.order(.backward)

  /// The order; nil for an average.
  public var order: CompositionOrder? {
    if case .order(let order) = self { order } else { nil }
  }

  /// The average's rule; nil for an order.
  public var average: AverageRule? {
    if case .average(let rule) = self { rule } else { nil }
  }

  /// Reads a description. Of an order `file:PATH` it knows only the name.
  public init?(_ description: String) {
    if description.hasPrefix(Self.averagePrefix) {
      guard let rule = try? AverageRule(String(description.dropFirst(Self.averagePrefix.count))) else { return nil }
      self = .average(rule)
    } else if description.hasPrefix(OrderFile.prefix) {
      self = .order(.listed(ListedOrder(name: description, sequences: [])))
    } else {
      guard let order = try? CompositionOrder(description) else { return nil }
      self = .order(order)
    }
  }

  private static let averagePrefix = "forward average "
}

extension Series: CustomStringConvertible {
  /// The name in databases and documents: `tail:50`, or `forward average exponential:0.99`.
  public var description: String {
    switch self {
    case .order(let order): order.description
    case .average(let rule): Self.averagePrefix + rule.description
    }
  }

  /// A short name for narrow places, without `forward`, since all averages are of forward's iterates.
  public var shortName: String {
    switch self {
    case .order(let order): order.description
    case .average(let rule): "average \(rule)"
    }
  }
}

extension Series: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let series = Series(text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "'\(text.prefix(100))' is no series"))
    }
    self = series
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
