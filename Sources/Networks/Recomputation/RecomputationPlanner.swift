/// Finds the schedule that takes the least time in given memory.
///
/// It finds the optimal persistent schedules for a chain of unequal stages, as in Herrmann, Beaumont, Eyraud-Dubois, Hermann, Joly,
/// Shilova 2019, "Optimal checkpointing for heterogeneous chains", arXiv 1911.13214. To go back from stage t to stage s,
/// whose input is there, either
///
/// - the forward pass of s is kept with all it saved, then comes the rest, s + 1 … t, and then the backward pass of s; or
/// - forward passes lead from s to some later stage whose input is kept, then come s′ … t, and then s … s′ − 1 afresh.
///
/// The times of both follow from those of shorter chains with less memory. That takes memory with the square of the chain's
/// length and time with its cube, so a chain of more than `longestExact` stages is parted into stretches of about equal
/// length. Each of them is solved by itself, in the same way. Among them, the second kind keeps an input at the beginning of
/// one; of the first kind there are several, which keep all that a stretch's forward passes made, or the inputs of every stage
/// in it, of every second, fourth and so on.
struct RecomputationPlanner {
  /// How many floats one unit of memory has. Sizes are rounded up to units, so that no plan takes more than it is allowed.
  private let unit: Int
  private let units: Int
  private let chain: Stretch

  /// Chains up to this length have the optimal schedules.
  static let longestExact = 100

  /// - Parameters:
  ///   - memory: floats for activations, gradients of activations and scratch memory, besides the network's input.
  ///   - resolution: how many units of memory are told apart.
  init(_ stages: [StageCost], memory: Int, resolution: Int = 1000) {
    unit = max(1, (memory + resolution - 1) / resolution)
    units = memory / unit
    chain = Stretch(stages, 0..<stages.count, unit: unit, units: units)
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

/// Stages next to each other, with the fastest way back through them for any units of memory.
private struct Stretch {
  /// The least time from the first stage's input and the last one's gradient to the gradient of that input, in seconds, by how
  /// many units of memory there are.
  let seconds: [Double]
  private let parts: [Part]
  /// The plan by first part, last part and units: for the second kind of plan, where it keeps an input; for the first kind, which
  /// of the first part's `ways` it takes, as −2 − the way's index; −1 where there is no plan.
  private var splits: [Int16]
  private let units: Int

  /// - Parameter isWhole: whether these are all stages of the chain.
  init(_ stages: [StageCost], _ range: Range<Int>, unit: Int, units: Int, isWhole: Bool = true) {
    self.units = units
    let (most, partCount) = isWhole ? (RecomputationPlanner.longestExact, 64) : (24, 16)
    if range.count <= most {
      parts = range.map { Part($0, stages[$0], unit: unit) }
    } else {
      parts = (0..<partCount).map { part in
        let bounds = range.lowerBound + range.count * part / partCount..<range.lowerBound + range.count * (part + 1) / partCount
        return Part(
          stages, bounds, unit: unit,
          inner: Stretch(stages, bounds, unit: unit, units: units, isWhole: false))
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
      let (stages, way) = (parts[s].stages, parts[s].ways[-2 - split])
      for stage in stages { passes.append(.forward(stage)) }
      if s < t { append(s + 1, t, m - way.kept, to: &passes) }
      for segment in Part.segments(stages, way.step ?? stages.count).reversed() {
        if way.step != nil { for stage in segment { passes.append(.forward(stage)) } }
        for stage in segment.reversed() { passes.append(.backward(stage)) }
      }
    } else {
      for part in parts[s..<split] { for stage in part.stages { passes.append(.forward(stage)) } }
      append(split, t, m - parts[split].input, to: &passes)
      append(s, split - 1, m, to: &passes)
    }
  }
}

/// A stage, or a stretch of them.
private struct Part {
  let stages: Range<Int>
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
  /// The stages of a stretch; nil for a single stage.
  let inner: Stretch?

  /// What is kept of a part's forward passes until its backward passes.
  struct Way {
    /// Nil to keep all that they made; else the inputs of every `step` stages are kept, which then run forward again.
    let step: Int?
    /// How many units are kept.
    let kept: Int
    /// Floats that the forward passes take, beside the gradient of the last output there is.
    let forward: Int
    /// Floats that the passes back take.
    let backward: Int
    /// How long the passes back take, those that run forward again included.
    let seconds: Double
  }

  init(_ stage: Int, _ cost: StageCost, unit: Int) {
    self.init([cost], stage..<stage + 1, unit: unit, steps: [], inner: nil)
  }

  init(_ all: [StageCost], _ range: Range<Int>, unit: Int, inner: Stretch) {
    let steps = sequence(first: 1) { 2 * $0 }.prefix { $0 < range.count }
    self.init(Array(all[range]), range, unit: unit, steps: Array(steps), inner: inner)
  }

  private init(_ costs: [StageCost], _ stages: Range<Int>, unit: Int, steps: [Int], inner: Stretch?) {
    self.stages = stages
    self.inner = inner
    func units(_ floats: Int) -> Int { (floats + unit - 1) / unit }
    let output = costs[costs.count - 1].outputCount
    outputCount = output
    forwardSeconds = costs.reduce(0) { $0 + $1.forwardSeconds }
    input = units(costs[0].inputCount)
    let sweeps = costs.map { $0.inputCount + $0.outputCount + $0.savedCount + $0.forwardScratchCount }
    let sweep = sweeps.reduce(0, max)
    self.sweep = sweep
    firstSweep = sweeps.dropFirst().reduce(sweeps[0] - costs[0].inputCount, max)

    let backwardSeconds = costs.reduce(0) { $0 + $1.backwardSeconds }
    /// All that the forward passes of `range` make, and the most that is needed beside it on the way back.
    func whole(_ range: Range<Int>) -> (made: Int, scratch: Int, gradients: Int) {
      costs[range].reduce((0, 0, 0)) {
        (
          $0.0 + $1.savedCount + $1.outputCount, max($0.1, $1.forwardScratchCount),
          max($0.2, $1.outputCount + $1.inputCount + $1.backwardScratchCount)
        )
      }
    }
    let (made, scratch, gradients) = whole(costs.indices)
    var ways = [
      Way(step: nil, kept: units(made), forward: made + scratch, backward: made + gradients, seconds: backwardSeconds)
    ]
    for step in steps {
      let segments = Self.segments(costs.indices, step)
      let kept = segments.dropFirst().reduce(output) { $0 + costs[$1.lowerBound].inputCount }
      let again = segments.map { segment in
        let (made, scratch, gradients) = whole(segment)
        return made + max(scratch + costs[segment.upperBound - 1].outputCount, gradients)
      }
      ways.append(
        Way(
          step: step, kept: units(kept), forward: kept + sweep, backward: kept + again.reduce(0, max),
          seconds: forwardSeconds + backwardSeconds))
    }
    self.ways = ways
  }

  /// The stages of `range` in segments of `step`, the last of which may be shorter.
  static func segments(_ range: Range<Int>, _ step: Int) -> [Range<Int>] {
    stride(from: range.lowerBound, to: range.upperBound, by: step).map { $0..<min($0 + step, range.upperBound) }
  }
}
