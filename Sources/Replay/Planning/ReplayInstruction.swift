/// One step of a plan. Instructions carry no logic: whoever follows them ends with the planned iterates.
public enum ReplayInstruction: Hashable, Sendable {
  /// The lane's state becomes the replica's initial state.
  case start(replica: Int)
  /// The lane's state becomes the stored one. With `averages` the replica's running averages become those stored with it, and
  /// go on from there: only a segment that goes on along the averaged path for the first time may take them.
  case restore(replica: Int, stored: Int, averages: Bool)
  /// The lane's state becomes a copy of the slot's.
  case load(slot: Int, tier: SlotTier)
  /// Applies the run's batches to the lane's state, first to last.
  case apply(BatchRun)
  /// `apply`, and after every single update the state enters the replica's running averages.
  case applyAveraging(BatchRun)
  /// The slot takes a copy of the lane's state. All readers of what it held have released it.
  case save(slot: Int, tier: SlotTier)
  /// This reader needs the slot no more.
  case release(slot: Int, tier: SlotTier)
  /// The lane's state is stored, with the running averages if the path has them.
  case checkpoint
  /// The lane's state is these iterates.
  case observe([Iterate])
  /// The replica's running averages stand at iterate n of the averaged order.
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
