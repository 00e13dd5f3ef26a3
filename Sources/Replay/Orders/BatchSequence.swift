import Foundation

/// The batches applied, from first to last, to get from the initial state to an iterate.
///
/// A sequence is stored as runs, and repeated runs as one entry: the millionth iterate of `sliding:16` takes two
/// entries. Two sequences are equal if they apply the same batches, however these are divided into runs.
public struct BatchSequence: Sendable {
  let progressions: [RunProgression]
  /// The number of batches in the sequence.
  public let count: Int

  public init(_ runs: [BatchRun]) {
    self.init(progressions: runs.map { RunProgression($0) })
  }

  /// Makes a sequence of progressions. Those without repetitions are left out.
  init(progressions: [RunProgression]) {
    self.progressions = progressions.filter { $0.repetitions > 0 }
    count = self.progressions.reduce(0) { $0 + $1.count }
  }

  /// The largest batch in the sequence; 0 if the sequence is empty.
  public var largestBatch: Int { progressions.reduce(0) { max($0, $1.largestBatch) } }

  /// The runs with the batches at positions `range` (counted from 0), trimmed to that range. They are computed one at
  /// a time.
  public func runs(in range: Range<Int>) -> Runs {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "positions outside the sequence")
    return Runs(cursor: RunCursor(self, position: range.lowerBound), remaining: range.count)
  }

  /// All runs, from first to last.
  public var runs: Runs { runs(in: 0..<count) }

  public struct Runs: Sequence, IteratorProtocol {
    fileprivate var cursor: RunCursor
    fileprivate var remaining: Int

    public mutating func next() -> BatchRun? {
      guard remaining > 0, let rest = cursor.rest else { return nil }
      let run = rest.count > remaining ? rest.prefix(remaining) : rest
      remaining -= run.count
      cursor.advance(by: run.count)
      return run
    }
  }

  /// The first `length` batches of the sequence.
  public func prefix(_ length: Int) -> BatchSequence {
    precondition(length >= 0 && length <= count, "a prefix is no longer than its sequence")
    guard length < count else { return self }
    var kept: [RunProgression] = []
    var remaining = length
    for progression in progressions where remaining > 0 {
      if progression.count <= remaining {
        kept.append(progression)
        remaining -= progression.count
      } else {
        let (run, offset) = progression.locate(remaining)
        kept += progression.prefix(runs: run)
        if offset > 0 { kept.append(RunProgression(progression.run(run).prefix(offset))) }
        remaining = 0
      }
    }
    return BatchSequence(progressions: kept)
  }

  /// The number of batches at the beginning that both sequences have in common.
  public func commonPrefixCount(with other: BatchSequence) -> Int {
    var a = RunCursor(self, position: 0)
    var b = RunCursor(other, position: 0)
    var shared = 0
    while let x = a.rest, let y = b.rest {
      if let skipped = RunCursor.skipSharedRepetitions(&a, &b) {
        shared += skipped
        continue
      }
      guard x.first == y.first else { break }
      let length = x.step == y.step ? min(x.count, y.count) : 1
      shared += length
      a.advance(by: length)
      b.advance(by: length)
    }
    return shared
  }

  /// Whether both sequences begin with the same `length` batches, so that the states after them are the same.
  public func agrees(with other: BatchSequence, upTo length: Int) -> Bool {
    length <= min(count, other.count) && commonPrefixCount(with: other) >= length
  }

  /// The batch at `position`, counted from 0.
  public subscript(position: Int) -> Int {
    precondition(position >= 0 && position < count, "position outside the sequence")
    return RunCursor(self, position: position).rest?.first ?? 0
  }
}

extension BatchSequence: Comparable {
  /// Compares lexicographically, by the first batch that differs. A prefix comes before the sequences it begins.
  public static func < (a: BatchSequence, b: BatchSequence) -> Bool {
    let shared = a.commonPrefixCount(with: b)
    return if shared == b.count { false } else if shared == a.count { true } else { a[shared] < b[shared] }
  }

  public static func == (a: BatchSequence, b: BatchSequence) -> Bool {
    a.count == b.count && a.commonPrefixCount(with: b) == a.count
  }
}

extension BatchSequence: CustomStringConvertible {
  /// The runs in the form of `file:` orders: `1-60,120-61`.
  public var description: String { runs.map(\.description).joined(separator: ",") }

  /// Reads runs such as `120-1` or `1-60,120-61`. Spaces are allowed.
  /// - Throws: `OrderError.unreadableRun` for text that is not a run of batches 1 … `BatchRun.largestBatch`, and
  ///   `OrderError.tooLong` for a sequence too long for any plan.
  public init(parsing text: some StringProtocol) throws(OrderError) {
    var runs: [BatchRun] = []
    var length = 0
    let batches = 1...BatchRun.largestBatch
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = word.split(separator: "-", omittingEmptySubsequences: false)
        .map { Int($0.trimmingCharacters(in: .whitespaces)) }
      guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], batches.contains(first),
        batches.contains(last)
      else { throw .unreadableRun(String(word)) }
      runs.append(BatchRun(first, last))
      length += BatchRun(first, last).count
      guard length <= ReplayPlan.mostUpdates else { throw .tooLong }
    }
    self.init(runs)
  }
}

/// A position in a sequence that moves forward run by run.
struct RunCursor {
  private let progressions: [RunProgression]
  private var progression = 0
  private var run = 0
  private var offset = 0

  init(_ sequence: BatchSequence, position: Int) {
    progressions = sequence.progressions
    var position = position
    while progression < progressions.count {
      let count = progressions[progression].count
      if position < count {
        (run, offset) = progressions[progression].locate(position)
        return
      }
      position -= count
      progression += 1
    }
  }

  /// The rest of the current run; nil at the end of the sequence.
  var rest: BatchRun? {
    guard progression < progressions.count else { return nil }
    return progressions[progression].run(run).suffix(from: offset)
  }

  /// Moves forward by `length` batches, which must not exceed the rest of the current run.
  mutating func advance(by length: Int) {
    offset += length
    guard offset == progressions[progression].run(run).count else { return }
    offset = 0
    run += 1
    guard run == progressions[progression].runCount else { return }
    run = 0
    progression += 1
  }

  /// If both cursors are before the same repeated runs, moves both behind the repetitions they share.
  /// - Returns: The number of batches skipped; nil if the cursors have not moved.
  static func skipSharedRepetitions(_ a: inout RunCursor, _ b: inout RunCursor) -> Int? {
    guard a.run == 0, a.offset == 0, b.run == 0, b.offset == 0 else { return nil }
    let x = a.progressions[a.progression]
    let y = b.progressions[b.progression]
    if let shared = x.shuffle.flatMap({ x in y.shuffle.flatMap { x.sharedCount(with: $0) } }).map({ min($0, x.count, y.count) }) {
      a.skip(runs: shared)
      b.skip(runs: shared)
      return shared
    }
    guard x.repeatsLike(y) else { return nil }
    let shared = x.repetitions <= y.repetitions ? x : y
    a.skip(runs: shared.runCount)
    b.skip(runs: shared.runCount)
    return shared.count
  }

  private mutating func skip(runs: Int) {
    run += runs
    guard run == progressions[progression].runCount else { return }
    run = 0
    progression += 1
  }
}
