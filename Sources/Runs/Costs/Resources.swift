import Formats
import Replay
import Tensors

/// What a run uses: lanes, and where branching states and initial states are kept. None of it changes a bit.
public struct Resources: Sendable {
  public var lanes: Int
  /// The number of branching states that stay in memory; nil for all of them.
  public var memorySlots: Int?
  /// Whether initial states stay in memory. Otherwise each replay makes them anew.
  public var keepsInitialStates: Bool
  /// The costs of keeping states outside memory, compared with an update.
  public var slotCosts: SlotCosts

  /// Keeps everything in memory, on the given number of lanes.
  public init(lanes: Int) {
    self.lanes = lanes
    memorySlots = nil
    keepsInitialStates = true
    slotCosts = SlotCosts(step: 1)
  }
}
