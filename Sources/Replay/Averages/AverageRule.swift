import Tensors

/// How the states 1, 2, … n of a path are weighted in their running average. Under every rule the weights sum to 1.
public enum AverageRule: Hashable, Sendable {
  /// Weights ∝ β^(n−i): each state counts for about 1 / (1 − β) updates.
  case exponential(Double)
  /// Weights ∝ i^γ, so that the average covers the same fraction of the path at any n (polynomial-decay averaging:
  /// Shamir and Zhang 2013, section 4; power functions: Karras et al. 2024, arXiv 2312.02696, section 3.1).
  case polynomial(Double)
  /// Equal weights for the states after the m-th (m = 0: Polyak and Juditsky 1992). Up to the m-th it is the state
  /// itself.
  case uniform(after: Int)
}

/// The weights of the states 1 … n under a rule.
public struct AverageWeights: Hashable, Sendable {
  public let rule: AverageRule
  public let n: Int
  /// The weight of state n.
  private let last: Double

  public init(_ rule: AverageRule, n: Int) {
    precondition(n >= 1, "an average is of one state or more")
    self.rule = rule
    self.n = n
    var steps = AverageSteps(rule)
    last = steps.weight(n)
  }

  /// The weight of state i; 0 outside 1 … n.
  public subscript(i: Int) -> Double {
    guard i >= 1, i <= n else { return 0 }
    return switch rule {
    case .exponential(let decay): last * Elementary.power(decay, n - i)
    case .polynomial(let exponent): last * Elementary.power(Double(i) / Double(n), exponent)
    case .uniform(let skipped): i > skipped || i == n ? last : 0
    }
  }
}

/// The fraction by which each state moves the running average towards itself: the weight of the n-th state among the
/// first n. It is a pure function of n, so an average that is resumed continues with the same bits.
struct AverageSteps: Sendable {
  private let rule: AverageRule
  private var count = 0
  private var sum = 0.0

  init(_ rule: AverageRule) {
    self.rule = rule
  }

  mutating func weight(_ n: Int) -> Double {
    switch rule {
    case .exponential(let decay):
      // The correction of Kingma and Ba 2015, section 3, which removes the pull towards zero at the beginning.
      return (1 - decay) / (1 - Elementary.power(decay, n))
    case .polynomial(let exponent):
      // 1 / Σ (i / n)^γ. The sum for n is computed from that for n − 1, without a power that could overflow.
      if n < count { (count, sum) = (0, 0) }
      while count < n {
        count += 1
        sum = sum * Elementary.power(Double(count - 1) / Double(count), exponent) + 1
      }
      return 1 / sum
    case .uniform(let skipped):
      return n > skipped ? 1 / Double(n - skipped) : 1
    }
  }
}

extension AverageRule: CustomStringConvertible {
  /// Equal weights for all iterates.
  public static let uniform = AverageRule.uniform(after: 0)

  public var description: String {
    switch self {
    case .exponential(let decay): "exponential:\(decay)"
    case .polynomial(let exponent): "polynomial:\(Int(exactly: exponent).map(String.init) ?? "\(exponent)")"
    case .uniform(after: 0): "uniform"
    case .uniform(let skipped): "uniform after \(skipped)"
    }
  }

  /// The forms that `init(_:)` reads.
  public static let forms = "exponential:β, polynomial:γ, uniform"

  /// Reads a specification such as `exponential:0.99`. `polynomial:0` is the same as `uniform`.
  public init(_ specification: String) throws(AverageError) {
    if let skipped = specification.wholeMatch(of: /uniform after ([0-9]{1,18})/).flatMap({ Int($0.1) }), skipped > 0 {
      self = .uniform(after: skipped)
      return
    }
    let parts = specification.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let value = parts.count == 2 ? Double(parts[1]) : nil
    switch (parts[0], parts.count) {
    case ("uniform", 1):
      self = .uniform
    case ("exponential", _):
      guard let value, value > 0, value < 1 else {
        throw .outOfRange(specification, "β above 0 and below 1, such as exponential:0.99")
      }
      self = .exponential(value)
    case ("polynomial", _):
      guard let value, (0...1000).contains(value) else {
        throw .outOfRange(specification, "γ from 0 to 1000, such as polynomial:8")
      }
      self = value == 0 ? .uniform : .polynomial(value)
    default:
      throw .unknown(specification)
    }
  }
}

/// An average that is asked for after a run: any running average, or the mean of the last iterates alone.
public enum AverageProfile: Hashable, Sendable {
  case rule(AverageRule)
  /// The mean of the last L iterates.
  case last(Int)

  /// The rule that gives this average on a path that ends at n.
  /// - Throws: `AverageError.tooLong` if there are fewer than L iterates.
  public func rule(endingAt n: Int) throws(AverageError) -> AverageRule {
    switch self {
    case .rule(let rule): return rule
    case .last(let length):
      guard length <= n else { throw .tooLong(length, n: n) }
      return .uniform(after: n - length)
    }
  }
}

extension AverageProfile: CustomStringConvertible {
  public var description: String {
    switch self {
    case .rule(let rule): rule.description
    case .last(let length): "uniform:\(length)"
    }
  }

  public static let forms = AverageRule.forms + ", uniform:L (the last L iterates)"

  /// Reads a specification such as `uniform:200` or `exponential:0.995`.
  public init(_ specification: String) throws(AverageError) {
    guard specification.hasPrefix("uniform:") else {
      do throws(AverageError) {
        self = .rule(try AverageRule(specification))
      } catch .unknown {
        throw .unknownProfile(specification)
      }
      return
    }
    guard let length = Int(specification.dropFirst("uniform:".count)), length >= 1 else {
      throw .outOfRange(specification, "a whole number of iterates after the colon, such as uniform:200")
    }
    self = .last(length)
  }
}

/// An invalid specification of an average.
public enum AverageError: Error, Equatable, CustomStringConvertible {
  case unknown(String)
  case unknownProfile(String)
  case outOfRange(String, String)
  case tooLong(Int, n: Int)

  public var description: String {
    switch self {
    case .unknown(let text): "no running average is called '\(text)'; there are \(AverageRule.forms)"
    case .unknownProfile(let text): "no average is called '\(text)'; there are \(AverageProfile.forms)"
    case .outOfRange(let text, let needed): "the average '\(text)' needs \(needed)"
    case .tooLong(let length, let n):
      """
      uniform:\(length) is the mean of \(length) iterates, but up to iterate \(n) there are \(n); ask for no more, or for a \
      later `iterate`
      """
    }
  }
}
