/// One step of a rewind. Instructions contain no logic: executing them in order visits the states of a path in
/// reverse.
///
/// State p of a path is the state after the first p batches of its sequence; state 0 is the initial state.
public enum RewindInstruction: Hashable, Sendable {
  /// The working state becomes the given state at this position. The one at 0 is the initial state.
  case start(Int)
  /// The working state becomes a copy of the slot's content.
  case load(slot: Int, tier: SlotTier)
  /// Applies the batches at these positions of the sequence: from state `lowerBound` to state `upperBound`.
  case advance(Range<Int>)
  /// The slot, which is empty, receives a copy of the working state.
  case save(slot: Int, tier: SlotTier)
  /// The slot is empty from now on.
  case release(slot: Int, tier: SlotTier)
  /// The working state is the state at this position, which is visited now.
  case visit(Int)
}

extension RewindInstruction: CustomStringConvertible {
  public var description: String {
    switch self {
    case .start(let position): "start \(position)"
    case .load(let slot, let tier): "load \(tier) \(slot)"
    case .advance(let positions): "advance \(positions.lowerBound) \(positions.upperBound)"
    case .save(let slot, let tier): "save \(tier) \(slot)"
    case .release(let slot, let tier): "release \(tier) \(slot)"
    case .visit(let position): "visit \(position)"
    }
  }
}
