import Tensors

/// The n at which iterates are observed.
public enum EvaluationSchedule: Hashable, Sendable {
  /// The multiples K, 2K, … and the last n.
  case every(Int)
  /// About K points, evenly spaced in log n, from 1 to the last n.
  case logarithmic(Int)
  /// The given n.
  case at([Int])
  /// The n where the curve bends most, until it is known to this mean absolute error of the loss.
  case automatic(error: Double)

  /// The largest number of observations of a schedule. More would take longer to read than to train for.
  static let mostPoints = 20_000_000

  /// The observed n of a run of `steps` batches, in ascending order. For an automatic schedule these are its first n.
  public func points(steps: Int) throws(ScheduleError) -> [Int] {
    guard isPossible else { throw .unreadable(description) }
    switch self {
    case .every(let stride):
      guard steps / stride <= Self.mostPoints else { throw .tooMany(steps / stride) }
      var points = Array(Swift.stride(from: stride, through: steps, by: stride))
      if points.last != steps { points.append(steps) }
      return points
    case .logarithmic(let count):
      guard count > 1 else { return [steps] }
      let ratio = Elementary.log(Double(steps)) / Double(count - 1)
      let points = (0..<count).map { min(steps, Int(Elementary.exp(ratio * Double($0)).rounded())) }
      return Array(Set(points + [steps])).sorted()
    case .automatic:
      return Array(Set(sequence(first: 1) { $0 <= steps / 2 ? 2 * $0 : nil } + [steps])).sorted()
    case .at(let points):
      if let outside = points.first(where: { !(1...steps).contains($0) }) {
        throw .outside(outside, steps: steps)
      }
      return Array(Set(points)).sorted()
    }
  }
}

extension EvaluationSchedule {
  /// The most points of a schedule `log:K`: no run is longer than that many points could tell apart.
  private static let mostLogarithmicPoints = 1_000_000

  /// Whether its numbers are ones that a specification can have.
  private var isPossible: Bool {
    switch self {
    case .every(let stride): stride > 0
    case .logarithmic(let count): (1...Self.mostLogarithmicPoints).contains(count)
    case .automatic(let error): error.isFinite && error >= 0
    case .at(let points): !points.isEmpty
    }
  }
}

extension EvaluationSchedule: CustomStringConvertible {
  public var description: String {
    switch self {
    case .every(let stride): "every:\(stride)"
    case .logarithmic(let count): "log:\(count)"
    case .automatic(let error): "auto:\(error)"
    case .at(let points): "at:" + points.map(String.init).joined(separator: ",")
    }
  }

  /// Reads `every:K`, `log:K`, `at:1,5,10` or `auto:ERROR`.
  public init(_ specification: String) throws(ScheduleError) {
    let parts = specification.split(separator: ":", maxSplits: 1).map(String.init)
    guard parts.count == 2 else { throw .unreadable(specification) }
    if parts[0] == "auto" {
      guard let error = Double(parts[1]), error.isFinite, error >= 0 else { throw .unreadable(specification) }
      self = .automatic(error: error)
      return
    }
    let numbers = parts[1].split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    guard let first = numbers.first ?? nil, numbers.allSatisfy({ ($0 ?? 0) > 0 }) else {
      throw .unreadable(specification)
    }
    switch (parts[0], numbers.count) {
    case ("every", 1): self = .every(first)
    // Points are rounded to whole n, so most of any further ones would coincide.
    case ("log", 1) where first <= Self.mostLogarithmicPoints: self = .logarithmic(first)
    case ("at", _): self = .at(numbers.compactMap { $0 })
    default: throw .unreadable(specification)
    }
  }
}

/// An invalid evaluation schedule.
public enum ScheduleError: Error, Equatable, CustomStringConvertible {
  case unreadable(String)
  case outside(Int, steps: Int)
  case tooMany(Int)

  public var description: String {
    switch self {
    case .unreadable(let text):
      """
      '\(text)' is not an evaluation schedule; write every:K, log:K (K up to 1000000), at:1,5,10, or auto:ERROR with an error of \
      the test loss such as 0.001
      """
    case .tooMany(let count):
      "the evaluation schedule asks for \(count) observations, but at most \(EvaluationSchedule.mostPoints) are kept; observe less often"
    case .outside(let n, let steps):
      "the evaluation schedule asks for iterate \(n), but the run has iterates 1 to \(steps)"
    }
  }
}
