import Formats
import Replay
import Runs
import Tensors

/// A problem with a state of some MiB in several tensors, which an update works on one after the other. Every float has a part in
/// each later update, so that any that is lost or stale is seen in the digest. States may be paged.
public struct Ripple: UpdateMap, TrainingProblem {
  public let layout: StateLayout
  public let metrics = [Metric("level"), Metric("edge")]
  /// The folder of the states' files; nil to keep states in memory.
  public let folder: String?
  public let startPrecision: CheckpointPrecision
  /// Called before every update.
  private let willUpdate: @Sendable () throws -> Void
  /// The pagers of all states made so far, so that a test can see what they held.
  public let pagers: Pagers?

  public final class Pagers: Sendable {
    private let all = Lock<[Pager]>([])

    public init() {}

    public var made: [Pager] { all.withLock { $0 } }

    fileprivate func add(_ pager: Pager) { all.withLock { $0.append(pager) } }
  }

  /// - Parameter lengths: The lengths of the tensors, in floats.
  public init(
    lengths: [Int] = [300_001, 17, 0, 90_000, 16_384, 5, 120_321], folder: String? = nil,
    startPrecision: CheckpointPrecision = .float32, pagers: Pagers? = nil, willUpdate: @escaping @Sendable () throws -> Void = {}
  ) {
    var layout = StateLayout()
    for (index, length) in lengths.enumerated() {
      _ = layout.add("tensor\(index)", shape: [length], role: .parameter, initialization: .normal(deviation: 0.5))
    }
    self.layout = layout
    self.folder = folder
    self.startPrecision = startPrecision
    self.pagers = pagers
    self.willUpdate = willUpdate
  }

  /// Behind the layout's tensors are as many floats without a name, as an optimizer's.
  public var stateCount: Int { 2 * layout.count }

  public func makeState() throws -> StateBuffer {
    guard let folder else { return try StateBuffer(count: stateCount) }
    let state = try StateBuffer(count: stateCount, pagedIn: folder)
    if let pager = state.pager { pagers?.add(pager) }
    return state
  }

  public func writeInitialState(seed: Int, to state: inout StateBuffer) throws {
    try layout.initialize(&state, seed: UInt64(seed))
  }

  public func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) throws {
    try willUpdate()
    var carried = Float(batch % 11) / 11
    for tensor in layout.tensors {
      let slot = Region(offset: layout.count + tensor.region.offset, count: tensor.region.count)
      state.pager?.fetch([tensor.region, slot])
      defer { try? state.pager?.release([tensor.region, slot], changed: true) }
      try state.pager?.wait(for: [tensor.region, slot])
      let (values, slots) = (state.mutableVector.part(tensor.region), state.mutableVector.part(slot))
      for index in 0..<values.count {
        slots[index] = 0.5 * slots[index] + 0.25 * (carried - values[index])
        values[index] += slots[index]
        carried = 0.875 * carried + 0.125 * values[index]
      }
    }
  }

  public func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) throws -> [Double] {
    var sum = 0.0
    try state.values.forEachPart { _, floats in for index in 0..<floats.count { sum += Double(floats[index]) } }
    let first = try state.values.withPart(Region(offset: 0, count: 1)) { Double($0[0]) }
    return [sum / Double(stateCount), first]
  }

  public func trainingLoss(batch: Int, seed: Int, of state: inout StateBuffer, workspace: inout Void) throws -> Double? {
    try state.withPart(Region(offset: 5, count: 1)) { Double(abs($0[0] - Float(batch % 3))) }
  }
}
