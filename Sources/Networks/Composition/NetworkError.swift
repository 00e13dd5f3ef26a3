/// What is wrong with a network, an optimizer or values for them.
public enum NetworkError: Error, Equatable, CustomStringConvertible {
  /// A specification that can't be read.
  case unreadable(String)
  /// Layers and inputs that don't go together.
  case shape(String)
  /// Names that stand for several things at once.
  case ambiguous(String)
  /// A library that the system does not have.
  case unavailable(String)

  public var description: String {
    switch self {
    case .unreadable(let text), .shape(let text), .ambiguous(let text), .unavailable(let text): text
    }
  }
}
