import Runs

/// A prediction that replaces Backtrail's own: `variance=0.05`, or `backward-variance=110%` for 1.1 times the one there is.
public struct OwnPrediction: Sendable {
  public enum Value: Sendable {
    case number(Double)
    /// A multiple of the prediction that there is.
    case multiple(Double)
  }

  /// A quantity, alone or after its series and a dash.
  public let name: String
  public let value: Value

  public static let forms = "QUANTITY=NUMBER or QUANTITY=PERCENT%"

  public init(_ name: String, _ value: Value) {
    self.name = name
    self.value = value
  }

  /// Reads a specification.
  /// - Throws: `RunError.usage`.
  public init(_ specification: String) throws(RunError) {
    let parts = specification.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let isMultiple = parts.last?.hasSuffix("%") == true
    guard parts.count == 2, !parts[0].isEmpty, let number = Double(isMultiple ? String(parts[1].dropLast()) : parts[1]), number.isFinite else {
      throw .usage("`predict` '\(specification)' is no prediction; write \(Self.forms), such as variance=0.05 or variance=110%")
    }
    name = parts[0]
    value = isMultiple ? .multiple(number / 100) : .number(number)
  }

  /// Whether the prediction is about this claim: its quantity, or one coordinate of it.
  func isAbout(_ claim: Claim) -> Bool {
    let quantity = claim.quantity.split(separator: ":").first.map(String.init) ?? claim.quantity
    let quantities = [claim.quantity, quantity]
    return quantities.contains(name) || quantities.contains { "\(claim.series)-\($0)" == name }
  }

  /// - Throws: `RunError.usage` for a distance between laws, which is no number to predict, and for a multiple of 0.
  func replace(_ claim: inout Claim) throws(RunError) {
    if case .distance = claim.evidence {
      throw .usage("`predict` \(name): that two laws are the same can't be predicted otherwise; name another quantity")
    }
    switch value {
    case .number(let number): claim.predicted = number
    case .multiple(let factor):
      guard claim.predicted != 0 else {
        throw .usage("`predict` \(name): the prediction is 0, and so is every percentage of it; give a number")
      }
      claim.predicted *= factor
    }
  }
}
