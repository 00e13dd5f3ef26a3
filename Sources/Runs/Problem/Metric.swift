import Formats
import Replay
import Tensors

/// A number that is observed of every iterate, such as a test loss.
public struct Metric: Codable, Hashable, Sendable {
  /// The key in documents and in the run database's columns: letters and digits that begin with a letter, such as
  /// `testLoss`.
  public let name: String
  /// The unit, such as `nats`; nil for a number without one.
  public let unit: String?
  /// Whether a smaller value is better.
  public let isLessBetter: Bool
  /// The smallest value (`least`) and the largest one (`greatest`) that are possible. A stored value outside them is
  /// damage.
  public let least: Double
  public let greatest: Double

  /// Above every loss of outputs that are floats, squares of their differences among them, and so small that its own square
  /// is finite.
  public static let largestMagnitude = 1e100

  public init(
    _ name: String, unit: String? = nil, isLessBetter: Bool = true,
    range: ClosedRange<Double> = -Metric.largestMagnitude...Metric.largestMagnitude
  ) {
    self.name = name
    self.unit = unit
    self.isLessBetter = isLessBetter
    least = max(range.lowerBound, -Self.largestMagnitude)
    greatest = min(range.upperBound, Self.largestMagnitude)
  }

  public var range: ClosedRange<Double> { least...greatest }

  /// The name in words: `test loss` for `testLoss`.
  public var title: String {
    name.reduce(into: "") { title, letter in
      if letter.isUppercase, title.last?.isUppercase == false { title += " " + letter.lowercased() } else { title.append(letter) }
    }
  }

  /// The title of an axis with its values: `test loss, nats`.
  public var axisTitle: String { unit.map { "\(title), \($0)" } ?? title }
}

extension Metric {
  private enum CodingKeys: String, CodingKey { case name, unit, isLessBetter, least, greatest }

  public init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: CodingKeys.self)
    name = try stored.decode(String.self, forKey: .name)
    unit = try stored.decodeIfPresent(String.self, forKey: .unit)
    isLessBetter = try stored.decode(Bool.self, forKey: .isLessBetter)
    least = try stored.decodeIfPresent(Double.self, forKey: .least) ?? -Self.largestMagnitude
    greatest = try stored.decodeIfPresent(Double.self, forKey: .greatest) ?? Self.largestMagnitude
    guard Self.isName(name), least <= greatest else {
      throw DecodingError.dataCorruptedError(forKey: .name, in: stored, debugDescription: "'\(name.prefix(100))' is no metric")
    }
  }

  /// Keys that stand beside metrics in documents.
  private static let keysOfDocuments: Set = [
    "average", "batch", "checkpoint", "costFraction", "digest", "distance", "diverged", "gradientEvaluations", "hasSkill", "isOptimal",
    "iterates", "laneSeconds", "n", "neighbourNoise", "noise", "observed", "order", "peakBytes", "schedule", "seconds", "seed",
    "series", "skill", "storedBytes", "weightDistance",
  ]

  /// The most metrics of one problem.
  static let mostMetrics = 1000

  /// - Throws: `RunError.usage` where metrics can't stand beside each other in a document.
  static func check(_ metrics: [Metric]) throws(RunError) {
    guard !metrics.isEmpty else {
      throw .usage("the problem has no metrics; give at least one, the first of which tells whether updates diverge")
    }
    guard metrics.count <= mostMetrics else {
      throw .usage("the problem has \(metrics.count) metrics, but a run observes at most \(mostMetrics)")
    }
    var taken = keysOfDocuments
    for metric in metrics {
      guard isName(metric.name), metric.least <= metric.greatest, taken.insert(metric.name).inserted,
        taken.insert("\(metric.name)Spread").inserted
      else {
        throw .usage(
          "'\(metric.name)' can't be a metric's name: take letters and digits, a letter first, that no other key of an iterate has")
      }
    }
  }

  private static func isName(_ text: String) -> Bool {
    text.utf8.count <= 100 && text.first?.isLetter == true && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
  }
}

/// The values of a problem's metrics, in the order of the metrics.
public struct Measurements: Hashable, Sendable {
  public let metrics: [Metric]
  public let values: [Double]

  /// - Precondition: There is one value for each metric.
  public init(_ values: [Double], of metrics: [Metric]) {
    precondition(values.count == metrics.count, "\(values.count) values of \(metrics.count) metrics")
    self.metrics = metrics
    self.values = values
  }

  /// The first metric's value: the loss, by which curves are compared.
  public var loss: Double { values[0] }

  public subscript(_ name: String) -> Double? {
    metrics.firstIndex { $0.name == name }.map { values[$0] }
  }

  // Metrics are the same throughout a run and there may be millions of values, so only the values are compared.
  public static func == (a: Measurements, b: Measurements) -> Bool { a.values == b.values }

  public func hash(into hasher: inout Hasher) { hasher.combine(values) }
}

extension Measurements: CustomStringConvertible {
  /// The values with their names, such as `testLoss 0.25, testAccuracy 0.91`.
  public var description: String { zip(metrics, values).map { "\($0.name) \($1)" }.joined(separator: ", ") }
}

/// A key of a document whose keys are known only at run time.
package struct DocumentKey: CodingKey, ExpressibleByStringLiteral {
  package let stringValue: String
  package var intValue: Int? { nil }

  package init(_ name: String) { stringValue = name }
  package init(stringLiteral name: String) { self.init(name) }
  package init?(stringValue: String) { self.init(stringValue) }
  package init?(intValue: Int) { nil }
}

extension CodingUserInfoKey {
  /// The metrics of the documents that a decoder reads, as a `[Metric]`.
  static let metrics = CodingUserInfoKey(rawValue: "metrics")
}

extension Decoder {
  /// The metrics of the run whose document is being read.
  var metrics: [Metric] { CodingUserInfoKey.metrics.flatMap { userInfo[$0] as? [Metric] } ?? [] }
}

extension KeyedEncodingContainer<DocumentKey> {
  /// Adds a key for each metric, and `trainingLoss`, unless that is a metric's name.
  package mutating func encode(_ measurements: Measurements, trainingLoss: Double? = nil) throws {
    for (metric, value) in zip(measurements.metrics, measurements.values) { try encode(value, forKey: DocumentKey(metric.name)) }
    guard measurements["trainingLoss"] == nil else { return }
    try encodeIfPresent(trainingLoss, forKey: "trainingLoss")
  }
}

extension KeyedDecodingContainer<DocumentKey> {
  func measurements(of metrics: [Metric]) throws -> Measurements {
    Measurements(try metrics.map { try decode(Double.self, forKey: DocumentKey($0.name)) }, of: metrics)
  }

  /// The training loss beside the metrics.
  func trainingLoss(beside metrics: [Metric]) throws -> Double? {
    metrics.contains { $0.name == "trainingLoss" } ? nil : try decodeIfPresent(Double.self, forKey: "trainingLoss")
  }
}
