/// Finds the schedule that takes the least time in given memory.
///
/// It finds the optimal persistent schedules for a chain of unequal blocks, as in Herrmann, Beaumont, Eyraud-Dubois, Hermann, Joly,
/// Shilova 2019, "Optimal checkpointing for heterogeneous chains", arXiv 1911.13214. To go back from block t to block s,
/// whose input is there, either
///
/// - the forward passes of s are kept in one of the block's ways, then comes the rest, s + 1 … t, and then the passes back of s; or
/// - forward passes lead from s to some later block whose input is kept, then come s′ … t, and then s … s′ − 1 afresh.
///
/// The times of both follow from those of shorter chains with less memory. That takes memory with the square of the chain's
/// length and time with its cube, so a chain of more than `longestExact` blocks is parted into stretches of about equal
/// length. Each of them is solved by itself, in the same way. Among them, the second kind keeps an input at the beginning of
/// one; of the first kind there are several, which keep all that a stretch's forward passes made, or the inputs of every block
/// in it, of every second, fourth and so on.
struct RecomputationPlanner {
  /// How many floats one unit of memory has. Sizes are rounded up to units, so that no plan takes more than it is allowed.
  private let unit: Int
  private let units: Int
  private let chain: Stretch

  /// Chains of up to this many blocks have the optimal schedules.
  static let longestExact = 100

  /// - Parameters:
  ///   - memory: floats for activations, gradients of activations and scratch memory, besides the network's input.
  ///   - resolution: how many units of memory are told apart.
  init(_ graph: StageGraph, memory: Int, resolution: Int = 1000) {
    unit = max(1, (memory + resolution - 1) / resolution)
    units = memory / unit
    let blocks = graph.blocks.map { BlockWays(graph, $0, isFirst: $0.lowerBound == 0) }
    chain = Stretch(blocks, 0..<blocks.count, unit: unit, units: units)
  }

  /// The fastest schedule in at most `memory` floats, no more than the planner was made for; nil where there is none.
  func schedule(memory: Int) -> ActivationSchedule? {
    let available = min(units, memory / unit)
    guard chain.seconds[available].isFinite else { return nil }
    var passes: [ActivationSchedule.Pass] = []
    chain.append(units: available, to: &passes)
    return ActivationSchedule(passes)
  }
}

/// Blocks next to each other, with the fastest way back through them for any units of memory.
private struct Stretch {
  /// The least time from the first block's input and the last one's gradient to the gradient of that input, in seconds, by how
  /// many units of memory there are.
  let seconds: [Double]
  private let parts: [Part]
  /// The plan by first part, last part and units: for the second kind of plan, where it keeps an input; for the first kind, which
  /// of the first part's `ways` it takes, as −2 − the way's index; −1 where there is no plan.
  private var splits: [Int16]
  private let units: Int

  /// - Parameter isWhole: whether these are all blocks of the chain.
  init(_ blocks: [BlockWays], _ range: Range<Int>, unit: Int, units: Int, isWhole: Bool = true) {
    self.units = units
    let (most, partCount) = isWhole ? (RecomputationPlanner.longestExact, 64) : (24, 16)
    if range.count <= most {
      parts = range.map { Part(blocks[$0], unit: unit) }
    } else {
      parts = (0..<partCount).map { part in
        let bounds = range.lowerBound + range.count * part / partCount..<range.lowerBound + range.count * (part + 1) / partCount
        return Part(
          Array(blocks[bounds]), unit: unit, inner: Stretch(blocks, bounds, unit: unit, units: units, isWhole: false))
      }
    }
    let rows = parts.count * (parts.count + 1) / 2
    splits = Array(repeating: -1, count: rows * (units + 1))
    var times = Array(repeating: Double.infinity, count: rows * (units + 1))
    for length in 1...parts.count {
      for s in 0...(parts.count - length) { Self.solve(s, s + length - 1, parts, unit, units, &times, &splits) }
    }
    let whole = Self.row(0, parts.count - 1) * (units + 1)
    seconds = Array(times[whole...(whole + units)])
  }

  /// Rows of s ≤ t, one after the other.
  private static func row(_ s: Int, _ t: Int) -> Int { t * (t + 1) / 2 + s }

  private static func solve(
    _ s: Int, _ t: Int, _ parts: [Part], _ unit: Int, _ units: Int, _ times: inout [Double], _ splits: inout [Int16]
  ) {
    let part = parts[s]
    let place = row(s, t) * (units + 1)
    if s == t, let inner = part.inner {
      for m in 0...units where inner.seconds[m].isFinite {
        times[place + m] = inner.seconds[m]
      }
      return
    }
    let last = parts[t].outputCount
    for (index, way) in part.ways.enumerated() {
      let whole = (max(way.forward + last, way.backward) + unit - 1) / unit
      guard whole <= units else { continue }
      let rest = s == t ? 0 : row(s + 1, t) * (units + 1)
      for m in whole...units {
        let restSeconds = s == t ? 0 : m >= way.kept ? times[rest + m - way.kept] : .infinity
        let total = part.forwardSeconds + restSeconds + way.seconds
        if total < times[place + m] { (times[place + m], splits[place + m]) = (total, Int16(-2 - index)) }
      }
    }
    // Units that the forward passes of the second kind need, by where they end.
    var sweep = 0
    var seconds = 0.0
    for split in (s + 1)..<max(s + 1, t + 1) {
      let passed = parts[split - 1]
      sweep = max(sweep, ((split - 1 == s ? passed.firstSweep : passed.sweep) + last + unit - 1) / unit)
      seconds += passed.forwardSeconds
      let input = parts[split].input
      let least = max(sweep, input)
      guard least <= units else { continue }
      let (right, left) = (row(split, t) * (units + 1) - input, row(s, split - 1) * (units + 1))
      for m in least...units {
        let total = seconds + times[right + m] + times[left + m]
        if total < times[place + m] { (times[place + m], splits[place + m]) = (total, Int16(split)) }
      }
    }
  }

  /// Appends the passes of the fastest way back.
  func append(units: Int, to passes: inout [ActivationSchedule.Pass]) {
    append(0, parts.count - 1, units, to: &passes)
  }

  private func append(_ s: Int, _ t: Int, _ m: Int, to passes: inout [ActivationSchedule.Pass]) {
    if s == t, let inner = parts[s].inner { return inner.append(units: m, to: &passes) }
    let split = Int(splits[Self.row(s, t) * (units + 1) + m])
    if split < 0 {
      let part = parts[s]
      part.appendForward(to: &passes)
      let way = part.ways[-2 - split]
      if s < t { append(s + 1, t, m - way.kept, to: &passes) }
      part.appendBack(way, to: &passes)
    } else {
      for part in parts[s..<split] { part.appendForward(to: &passes) }
      append(split, t, m - parts[split].input, to: &passes)
      append(s, split - 1, m, to: &passes)
    }
  }
}

/// A block, or a stretch of them.
private struct Part {
  let blocks: [BlockWays]
  let forwardSeconds: Double
  let outputCount: Int
  /// Floats that forward passes take which keep only the last output, the part's input included.
  let sweep: Int
  /// The same without the part's input, for where that is kept anyway.
  let firstSweep: Int
  /// How many units its input takes.
  let input: Int
  /// The choices of what to keep of its forward passes.
  let ways: [Way]
  /// The blocks of a stretch; nil for a single block.
  let inner: Stretch?

  /// What is kept of a part's forward passes until its passes back.
  struct Way {
    enum Kind {
      /// The way of this number of a single block; of a stretch, what the first ways of its blocks keep.
      case kept(Int)
      /// The inputs of every so many blocks are kept, which then run forward again.
      case segments(of: Int)
    }

    let kind: Kind
    /// How many units are kept.
    let kept: Int
    /// Floats that the forward passes take, beside the gradient of the last output there is.
    let forward: Int
    /// Floats that the passes back take.
    let backward: Int
    /// How long the passes back take, those that run forward again included.
    let seconds: Double
  }

  init(_ block: BlockWays, unit: Int) {
    self.init(
      [block], unit: unit, inner: nil,
      ways: block.ways.enumerated().map { number, way in
        Way(
          kind: .kept(number), kept: (way.kept + unit - 1) / unit, forward: way.forward, backward: way.backward,
          seconds: way.seconds)
      })
  }

  init(_ blocks: [BlockWays], unit: Int, inner: Stretch) {
    func units(_ floats: Int) -> Int { (floats + unit - 1) / unit }
    /// All that the forward passes of `range` make, and the most that is needed beside it.
    func whole(_ range: Range<Int>) -> (made: Int, scratch: Int, gradients: Int) {
      blocks[range].reduce((0, 0, 0)) {
        let way = $1.ways[0]
        return ($0.0 + way.kept, max($0.1, way.forward - way.kept), max($0.2, way.backward - way.kept))
      }
    }
    let (made, scratch, gradients) = whole(blocks.indices)
    let backwardSeconds = blocks.reduce(0) { $0 + $1.ways[0].seconds }
    let forwardSeconds = blocks.reduce(0) { $0 + $1.forwardSeconds }
    let sweep = blocks.reduce(0) { max($0, $1.sweep) }
    var ways = [
      Way(kind: .kept(0), kept: units(made), forward: made + scratch, backward: made + gradients, seconds: backwardSeconds)
    ]
    for length in sequence(first: 1, next: { 2 * $0 }).prefix(while: { $0 < blocks.count }) {
      let segments = Self.segments(blocks.indices, length)
      let kept = segments.dropFirst().reduce(blocks[blocks.count - 1].outputCount) { $0 + blocks[$1.lowerBound].inputCount }
      let again = segments.map { segment in
        let (made, scratch, gradients) = whole(segment)
        return made + max(scratch + blocks[segment.upperBound - 1].outputCount, gradients)
      }
      ways.append(
        Way(
          kind: .segments(of: length), kept: units(kept), forward: kept + sweep, backward: kept + again.reduce(0, max),
          seconds: forwardSeconds + backwardSeconds))
    }
    self.init(blocks, unit: unit, inner: inner, ways: ways)
  }

  private init(_ blocks: [BlockWays], unit: Int, inner: Stretch?, ways: [Way]) {
    self.blocks = blocks
    self.inner = inner
    self.ways = ways
    outputCount = blocks[blocks.count - 1].outputCount
    forwardSeconds = blocks.reduce(0) { $0 + $1.forwardSeconds }
    input = (blocks[0].inputCount + unit - 1) / unit
    sweep = blocks.reduce(0) { max($0, $1.sweep) }
    firstSweep = blocks.dropFirst().reduce(blocks[0].firstSweep) { max($0, $1.sweep) }
  }

  func appendForward(to passes: inout [ActivationSchedule.Pass]) {
    for block in blocks { for stage in block.stages { passes.append(.forward(stage)) } }
  }

  func appendBack(_ way: Way, to passes: inout [ActivationSchedule.Pass]) {
    switch way.kind {
    case .kept(let number):
      for block in blocks.reversed() { passes += block.ways[number].passes }
    case .segments(let length):
      for segment in Self.segments(blocks.indices, length).reversed() {
        for block in blocks[segment] { for stage in block.stages { passes.append(.forward(stage)) } }
        for block in blocks[segment].reversed() { passes += block.ways[0].passes }
      }
    }
  }

  /// The blocks of `range` in segments of `length`, the last of which may be shorter.
  private static func segments(_ range: Range<Int>, _ length: Int) -> [Range<Int>] {
    stride(from: range.lowerBound, to: range.upperBound, by: length).map { $0..<min($0 + length, range.upperBound) }
  }
}
