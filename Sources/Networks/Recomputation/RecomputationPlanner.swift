/// Finds the schedule that takes least time in given memory.
///
/// The optimal persistent schedules for a chain of unequal stages: Herrmann, Beaumont, Eyraud-Dubois, Hermann, Joly,
/// Shilova 2019, "Optimal checkpointing for heterogeneous chains", arXiv 1911.13214. To go back from stage t to stage s,
/// whose input is there, either
///
/// - the forward pass of s is kept with all it saved, then comes the rest, s + 1 … t, and then the backward pass of s; or
/// - forward passes lead from s to some later stage whose input is kept, then come s′ … t, and then s … s′ − 1 afresh.
///
/// The times of both follow from those of shorter chains with less memory.
struct RecomputationPlanner {
  private let stages: [StageCost]
  /// Floats of one unit of memory. Sizes are rounded up to units, so that no plan takes more than it is allowed.
  private let unit: Int
  private let units: Int
  /// By s, t and units: the least time, and how it is reached.
  private var table: [Entry]

  private struct Entry {
    var seconds = Double.infinity
    /// Where the second kind of plan keeps an input; s for the first kind.
    var split = Int32(-1)
  }

  /// - Parameters:
  ///   - memory: floats for activations, gradients of activations and scratch memory, besides the network's input.
  ///   - resolution: how many units of memory are told apart.
  init(_ stages: [StageCost], memory: Int, resolution: Int = 1000) {
    self.stages = stages
    unit = max(1, (memory + resolution - 1) / resolution)
    units = memory / unit
    table = Array(repeating: Entry(), count: stages.count * stages.count * (units + 1))
    solve()
  }

  private func rounded(_ floats: Int) -> Int { (floats + unit - 1) / unit }

  private func index(_ s: Int, _ t: Int, _ m: Int) -> Int { (s * stages.count + t) * (units + 1) + m }

  private mutating func solve() {
    let count = stages.count
    for length in 1...count {
      for s in 0...(count - length) {
        let t = s + length - 1
        let stage = stages[s]
        let last = stages[t].outputCount
        // Units that the first kind of plan needs: for the forward pass beside the gradient of the last output, and for
        // the backward pass beside its own two gradients.
        let kept = rounded(stage.savedCount + stage.outputCount)
        let isLast = s == t
        let whole = max(
          rounded(stage.savedCount + stage.outputCount + stage.forwardScratchCount + last),
          rounded(
            stage.savedCount + 2 * stage.outputCount + stage.inputCount + stage.backwardScratchCount))
        // Units that the forward passes of the second kind need, by where they end.
        var sweep = 0
        var sweeps: [(split: Int, units: Int, seconds: Double)] = []
        var seconds = 0.0
        for split in (s + 1)..<max(s + 1, t + 1) {
          let passed = stages[split - 1]
          let input = split - 1 == s ? 0 : passed.inputCount
          sweep = max(
            sweep, rounded(input + passed.outputCount + passed.savedCount + passed.forwardScratchCount + last))
          seconds += passed.forwardSeconds
          sweeps.append((split, sweep, seconds))
        }
        for m in 0...units {
          var best = Entry()
          if m >= whole {
            let rest = isLast ? 0 : m >= kept ? table[index(s + 1, t, m - kept)].seconds : .infinity
            let total = stage.forwardSeconds + rest + stage.backwardSeconds
            if total < best.seconds { best = Entry(seconds: total, split: Int32(s)) }
          }
          for (split, needed, seconds) in sweeps {
            let input = rounded(stages[split].inputCount)
            guard m >= needed, m >= input else { continue }
            let total = seconds + table[index(split, t, m - input)].seconds + table[index(s, split - 1, m)].seconds
            if total < best.seconds { best = Entry(seconds: total, split: Int32(split)) }
          }
          table[index(s, t, m)] = best
        }
      }
    }
  }

  /// The fastest schedule in at most `memory` floats, no more than the planner was made for; nil where there is none.
  func schedule(memory: Int) -> ActivationSchedule? {
    let available = min(units, memory / unit)
    guard table[index(0, stages.count - 1, available)].seconds.isFinite else { return nil }
    var passes: [ActivationSchedule.Pass] = []
    append(0, stages.count - 1, available, to: &passes)
    return ActivationSchedule(passes)
  }

  private func append(_ s: Int, _ t: Int, _ m: Int, to passes: inout [ActivationSchedule.Pass]) {
    let split = Int(table[index(s, t, m)].split)
    if split == s {
      passes.append(.forward(s))
      if s < t { append(s + 1, t, m - rounded(stages[s].savedCount + stages[s].outputCount), to: &passes) }
      passes.append(.backward(s))
    } else {
      for stage in s..<split { passes.append(.forward(stage)) }
      append(split, t, m - rounded(stages[split].inputCount), to: &passes)
      append(s, split - 1, m, to: &passes)
    }
  }
}
