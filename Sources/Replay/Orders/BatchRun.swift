/// Consecutive batches, ascending or descending: `1-60` is 1, 2, … 60 and `120-61` is 120, 119, … 61.
public struct BatchRun: Hashable, Sendable {
  public let first: Int
  public let last: Int

  public init(_ first: Int, _ last: Int) {
    self.first = first
    self.last = last
  }

  /// The largest batch number. No iterate has a larger n either, so that sums of batch counts in a sequence do not
  /// overflow.
  public static let largestBatch = 1_000_000_000

  /// +1 or −1. A run of one batch counts as ascending.
  public var step: Int { first <= last ? 1 : -1 }

  public var count: Int { (last - first) * step + 1 }

  /// The batch at `index`, counted from 0.
  public subscript(index: Int) -> Int { first + index * step }

  /// The run without its first `index` batches; `index` must be less than `count`.
  func suffix(from index: Int) -> BatchRun { BatchRun(self[index], last) }

  /// The first `length` batches; `length` must be at least 1.
  func prefix(_ length: Int) -> BatchRun { BatchRun(first, self[length - 1]) }

  var reversed: BatchRun { BatchRun(last, first) }
}

extension BatchRun: CustomStringConvertible {
  public var description: String { first == last ? "\(first)" : "\(first)-\(last)" }
}

/// Runs whose ends move by constant steps, so that a sequence of a million windows takes no more memory than one
/// window: run i is (first + i · firstShift) … (last + i · lastShift), for i = 0 ..< repetitions.
struct RunProgression: Hashable, Sendable {
  let start: BatchRun
  let firstShift: Int
  let lastShift: Int
  let repetitions: Int
  /// Whether each run is followed by its reverse.
  let isMirrored: Bool
  /// What the runs are instead, each of one batch; nil for runs with moving ends.
  let shuffle: BatchShuffle?

  /// Makes a progression whose ends do not cross: all runs with more than one batch have the same direction.
  init(_ start: BatchRun, firstShift: Int, lastShift: Int, repetitions: Int, isMirrored: Bool = false) {
    let movesByOne = start.count == 1 && firstShift == lastShift && abs(firstShift) == 1 && !isMirrored
    // Successive single batches are one run.
    self.start = movesByOne ? BatchRun(start.first, start.first + (repetitions - 1) * firstShift) : start
    self.firstShift = movesByOne ? 0 : firstShift
    self.lastShift = movesByOne ? 0 : lastShift
    self.repetitions = movesByOne ? min(repetitions, 1) : repetitions
    self.isMirrored = isMirrored
    shuffle = nil
  }

  /// Makes the first `count` batches of a shuffle.
  init(_ shuffle: BatchShuffle, count: Int) {
    start = BatchRun(1, 1)
    (firstShift, lastShift, repetitions, isMirrored) = (0, 0, count, false)
    self.shuffle = shuffle
  }

  init(_ run: BatchRun) {
    self.init(run, firstShift: 0, lastShift: 0, repetitions: 1)
  }

  private var runsPerRepetition: Int { isMirrored ? 2 : 1 }

  var runCount: Int { repetitions * runsPerRepetition }

  /// The largest batch in any of its runs. It is in the first or the last repetition, since the ends move by constant
  /// steps.
  var largestBatch: Int {
    guard repetitions > 0 else { return 0 }
    if let shuffle { return shuffle.largestBatch(ofFirst: repetitions) }
    let last = run((repetitions - 1) * runsPerRepetition)
    return max(start.first, start.last, last.first, last.last)
  }

  /// The number of batches in all its runs.
  var count: Int { count(ofRepetitions: repetitions) }

  /// The number of batches in the first `n` repetitions, the sum of an arithmetic series of run lengths.
  func count(ofRepetitions n: Int) -> Int {
    guard shuffle == nil else { return n }
    let growth = n > 1 ? run(runsPerRepetition).count - start.count : 0
    return runsPerRepetition * (n * start.count + growth * (n * (n - 1) / 2))
  }

  /// The run at `index`, which must be less than `runCount`.
  func run(_ index: Int) -> BatchRun {
    if let shuffle {
      let batch = shuffle[index]
      return BatchRun(batch, batch)
    }
    let i = index / runsPerRepetition
    let run = BatchRun(start.first + i * firstShift, start.last + i * lastShift)
    return isMirrored && index % 2 == 1 ? run.reversed : run
  }

  /// The first `count` runs, in at most two progressions.
  func prefix(runs count: Int) -> [RunProgression] {
    if let shuffle { return [RunProgression(shuffle, count: count)] }
    let whole = RunProgression(
      start, firstShift: firstShift, lastShift: lastShift, repetitions: count / runsPerRepetition, isMirrored: isMirrored)
    return count % runsPerRepetition == 0 ? [whole] : [whole, RunProgression(run(count - 1))]
  }

  /// Whether `other` repeats the same runs, though perhaps a different number of times.
  func repeatsLike(_ other: RunProgression) -> Bool {
    start == other.start && firstShift == other.firstShift && lastShift == other.lastShift
      && isMirrored == other.isMirrored && shuffle == other.shuffle
  }

  /// The index of the run that contains batch `position`, and the offset of the batch in that run.
  func locate(_ position: Int) -> (run: Int, offset: Int) {
    guard shuffle == nil else { return (position, 0) }
    var low = 0
    var high = repetitions - 1
    while low < high {
      let middle = (low + high + 1) / 2
      if count(ofRepetitions: middle) <= position { low = middle } else { high = middle - 1 }
    }
    let offset = position - count(ofRepetitions: low)
    let index = low * runsPerRepetition
    let length = run(index).count
    return offset < length ? (index, offset) : (index + 1, offset - length)
  }
}
