import Tensors

/// The fraction of the learning rate that an update gets.
///
/// The index i = 0, 1, … of an update is its position (how many updates the state has had) or its batch's number less
/// one. By batch number, T_j is one map wherever it is applied, as the theory of backward orders wants.
public struct LearningRateSchedule: Sendable, Equatable {
  public enum Shape: Sendable, Equatable {
    /// The fraction is always 1.
    case constant
    /// f + (1 − f) (1 + cos π p) / 2, where p goes from 0 after the warm-up to 1 at the horizon and f is `final`
    /// (Loshchilov and Hutter 2017, without restarts).
    case cosine(final: Double)
    /// `factor` to the power ⌊(i − warm-up) / `every`⌋.
    case step(every: Int, factor: Double)
  }

  public enum Index: String, Sendable, Codable, CaseIterable {
    case position, batch
  }

  public let shape: Shape
  /// The number of first updates in which the fraction rises linearly: update i < warmUp gets (i + 1) / warmUp (Goyal et al. 2017).
  public let warmUp: Int
  /// N: how many updates the schedule is for. Later ones are as the last.
  public let horizon: Int
  public let index: Index

  public init(_ shape: Shape = .constant, warmUp: Int = 0, horizon: Int = 1, index: Index = .position) {
    self.shape = shape
    self.warmUp = warmUp
    self.horizon = horizon
    self.index = index
  }

  /// The specifications `init(_:warmUp:horizon:index:)` reads.
  public static let forms = "constant, cosine[:FINAL] (down to FINAL of the rate, by default 0) and step:K[,FACTOR] (times FACTOR, by default 0.1, every K updates)"

  /// Reads a specification such as `cosine:0.1`.
  /// - Throws: `NetworkError.unreadable`.
  public init(_ specification: String, warmUp: Int, horizon: Int, index: Index) throws(NetworkError) {
    let unreadable = NetworkError.unreadable(
      "the schedule '\(specification)' can't be read; there are \(Self.forms)")
    let parts = specification.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let words = parts.count == 2 ? parts[1].split(separator: ",", omittingEmptySubsequences: false) : []
    switch (parts.first, words.count) {
    case ("constant", 0) where parts.count == 1:
      shape = .constant
    case ("cosine", 0...1):
      let final = words.isEmpty ? 0 : Double(words[0])
      guard let final, (0...1).contains(final), parts.count == 1 || words.count == 1 else { throw unreadable }
      shape = .cosine(final: final)
    case ("step", 1...2):
      guard let every = Int(words[0]), every > 0, let factor = words.count == 2 ? Double(words[1]) : 0.1,
        (0...1).contains(factor)
      else { throw unreadable }
      shape = .step(every: every, factor: factor)
    default:
      throw unreadable
    }
    self.warmUp = warmUp
    self.horizon = horizon
    self.index = index
  }

  /// The fraction for the update with batch `batch` at `position`.
  public func fraction(batch: Int, position: Int) -> Double {
    let i = index == .batch ? batch - 1 : position
    if i < warmUp { return Double(i + 1) / Double(warmUp) }
    switch shape {
    case .constant:
      return 1
    case .cosine(let final):
      let progress = min(1, Double(i - warmUp) / Double(max(1, horizon - warmUp)))
      return final + (1 - final) * (1 + Elementary.sineAndCosine(turns: progress / 2).cosine) / 2
    case .step(let every, let factor):
      return Elementary.power(factor, (i - warmUp) / every)
    }
  }
}
