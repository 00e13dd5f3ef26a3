import Foundation

/// The batches applied, first to last, to get from the initial state to an iterate.
///
/// Held as runs, and repeated runs as one entry: the millionth iterate of `sliding:16` takes two entries. Sequences
/// compare by the batches they hold, however these are cut into runs.
public struct BatchSequence: Sendable {
  let progressions: [RunProgression]
  /// How many batches it applies.
  public let count: Int

  public init(_ runs: [BatchRun]) {
    self.init(progressions: runs.map { RunProgression($0) })
  }

  /// Progressions without repetitions are left out.
  init(progressions: [RunProgression]) {
    self.progressions = progressions.filter { $0.repetitions > 0 }
    count = self.progressions.reduce(0) { $0 + $1.count }
  }

  /// The largest batch it applies; 0 of an empty one.
  public var largestBatch: Int { progressions.reduce(0) { max($0, $1.largestBatch) } }

  /// The runs that hold the batches at positions `range` (from 0), cut to it. Nothing is stored a run.
  public func runs(in range: Range<Int>) -> Runs {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "positions outside the sequence")
    return Runs(cursor: RunCursor(self, position: range.lowerBound), remaining: range.count)
  }

  /// All runs, first to last.
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

  /// The sequence's first `length` batches.
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

  /// How many batches, from the first on, both sequences share.
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

  /// The batch at `position`, from 0.
  public subscript(position: Int) -> Int {
    precondition(position >= 0 && position < count, "position outside the sequence")
    return RunCursor(self, position: position).rest?.first ?? 0
  }
}

extension BatchSequence: Comparable {
  /// Lexicographic: by the first batch that differs; a sequence comes before those it begins.
  public static func < (a: BatchSequence, b: BatchSequence) -> Bool {
    let shared = a.commonPrefixCount(with: b)
    return if shared == b.count { false } else if shared == a.count { true } else { a[shared] < b[shared] }
  }

  public static func == (a: BatchSequence, b: BatchSequence) -> Bool {
    a.count == b.count && a.commonPrefixCount(with: b) == a.count
  }
}

extension BatchSequence: CustomStringConvertible {
  /// The runs, as a `file:` order writes them: `1-60,120-61`.
  public var description: String { runs.map(\.description).joined(separator: ",") }

  /// Reads runs such as `120-1` or `1-60,120-61`, spaces allowed.
  /// - Throws: `OrderError.unreadableRun` for what is no run of batches 1 … `BatchRun.largestBatch`, `OrderError.tooLong` for a
  ///   sequence that no plan may have.
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

/// A place in a sequence, moving forward run by run.
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

  /// What is left of the current run; nil at the end of the sequence.
  var rest: BatchRun? {
    guard progression < progressions.count else { return nil }
    return progressions[progression].run(run).suffix(from: offset)
  }

  /// Moves on by `length` batches, no more than the current run has left.
  mutating func advance(by length: Int) {
    offset += length
    guard offset == progressions[progression].run(run).count else { return }
    offset = 0
    run += 1
    guard run == progressions[progression].runCount else { return }
    run = 0
    progression += 1
  }

  /// Where both stand before the same repeated runs, moves both behind those they share and tells their batches.
  static func skipSharedRepetitions(_ a: inout RunCursor, _ b: inout RunCursor) -> Int? {
    guard a.run == 0, a.offset == 0, b.run == 0, b.offset == 0 else { return nil }
    let x = a.progressions[a.progression]
    let y = b.progressions[b.progression]
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
