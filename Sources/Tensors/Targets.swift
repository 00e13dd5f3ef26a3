/// What the examples of a batch should come to: a class each, or real values; for a network that predicts something at
/// every position, one for each position.
///
/// The arrays are as long as the largest batch needs. A smaller one takes their beginning.
public struct Targets: Sendable {
  public enum Kind: String, Sendable {
    /// Numbers of classes, from 0.
    case classes
    /// Real numbers.
    case values
  }

  public let kind: Kind
  /// Prediction after prediction; empty where targets are values.
  public var classes: [Int32]
  /// Prediction after prediction; empty where targets are classes.
  public var values: [Float]

  /// `count` targets, all 0.
  public init(_ kind: Kind, count: Int) {
    self.kind = kind
    classes = kind == .classes ? [Int32](repeating: 0, count: count) : []
    values = kind == .values ? [Float](repeating: 0, count: count) : []
  }

  /// How many there is room for.
  public var count: Int { kind == .classes ? classes.count : values.count }

  /// Overwrites the first `count` targets with those of `other` from `start` on. Both have one kind.
  package mutating func copy(from other: Targets, startingAt start: Int, count: Int) {
    precondition(kind == other.kind && count <= self.count && start + count <= other.count, "targets that there are")
    switch kind {
    case .classes: for place in 0..<count { classes[place] = other.classes[start + place] }
    case .values: for place in 0..<count { values[place] = other.values[start + place] }
    }
  }
}
