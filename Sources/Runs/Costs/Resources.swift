import Formats
import Replay
import Tensors

/// What a run uses: lanes, and where branching states and initial states are kept. None of it changes a bit.
public struct Resources: Sendable {
  public var lanes: Int
  /// Branching states that stay in memory; nil: all.
  public var memorySlots: Int?
  /// Whether initial states stay in memory; otherwise they are made anew for every replay.
  public var keepsInitialStates: Bool
  /// What keeping states elsewhere takes, beside an update.
  public var slotCosts: SlotCosts

  /// Everything in memory, on as many lanes as there may be.
  public init(lanes: Int) {
    self.lanes = lanes
    memorySlots = nil
    keepsInitialStates = true
    slotCosts = SlotCosts(step: 1)
  }
}
