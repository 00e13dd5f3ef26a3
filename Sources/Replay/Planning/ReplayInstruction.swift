/// One step of a plan. Instructions contain no logic: executing them in order produces the planned iterates.
public enum ReplayInstruction: Hashable, Sendable {
  /// The lane's state becomes the initial state of the replica.
  case start(replica: Int)
  /// The lane's state becomes the stored one. With `averages` the replica's running averages also become those stored
  /// with it and continue from there; only a segment that continues along the averaged path for the first time may
  /// restore them.
  case restore(replica: Int, stored: Int, averages: Bool)
  /// The lane's state becomes a copy of the slot's content.
  case load(slot: Int, tier: SlotTier)
  /// Applies the batches of the run to the lane's state, from first to last.
  case apply(BatchRun)
  /// The same as `apply`; in addition the state is added to the replica's running averages after every update.
  case applyAveraging(BatchRun)
  /// The slot receives a copy of the lane's state. All readers of its former content have released it.
  case save(slot: Int, tier: SlotTier)
  /// This reader no longer needs the content of the slot.
  case release(slot: Int, tier: SlotTier)
  /// The lane's state is stored, together with the running averages if its path is averaged.
  case checkpoint
  /// The lane's state is observed as these iterates.
  case observe([Iterate])
  /// The replica's running averages are observed at iterate n of forward order.
  case observeAverages(n: Int)
}

extension ReplayInstruction: CustomStringConvertible {
  public var description: String {
    switch self {
    case .start(let replica): "start \(replica)"
    case .restore(let replica, let stored, let averages): "restore \(replica):\(stored)" + (averages ? " with averages" : "")
    case .load(let slot, let tier): "load \(tier) \(slot)"
    case .apply(let run): "apply \(run)"
    case .applyAveraging(let run): "apply-averaging \(run)"
    case .save(let slot, let tier): "save \(tier) \(slot)"
    case .release(let slot, let tier): "release \(tier) \(slot)"
    case .checkpoint: "checkpoint"
    case .observe(let iterates): "observe " + iterates.map { "\($0.order):\($0.n)" }.joined(separator: " ")
    case .observeAverages(let n): "observe-averages \(n)"
    }
  }
}
