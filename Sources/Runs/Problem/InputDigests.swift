import Formats
import Replay
import Tensors

/// Digests of what a run was made from, so that a replay from changed files is noticed.
public struct InputDigests: Codable, Equatable, Sendable {
  /// Of the data it trains and measures on; nil for a problem without.
  public var data: Digest?
  /// Of the initial state's tensors; nil where the seed makes it.
  public var initial: Digest?
  /// Of imported batches; nil where batches follow from seeds.
  public var batches: Digest?
  /// Of other files, by path: those of orders among them.
  public var files: [String: Digest]

  public init(data: Digest? = nil, initial: Digest? = nil, batches: Digest? = nil, files: [String: Digest] = [:]) {
    self.data = data
    self.initial = initial
    self.batches = batches
    self.files = files
  }

  /// With those of the files that a workload's orders were read from.
  func adding(_ orderFiles: [String: Digest]) -> InputDigests {
    var all = self
    all.files.merge(orderFiles) { first, _ in first }
    return all
  }

  /// - Throws: `RunError.damaged` naming what is not as it was.
  func check(against current: InputDigests, run: RunFolder) throws(RunError) {
    var changed = files.keys.sorted().first { current.files[$0] != files[$0] }
    if current.initial != initial { changed = "the initial state, \(run.initialStatePath)," }
    if current.data != data { changed = "the data set" }
    if let changed {
      throw .damaged("\(changed) is not what it was when \(run.path) was made; bring it back, or train anew")
    }
    try checkBatches(current.batches, run: run)
  }

  /// - Throws: `RunError.damaged` where the journal's batches are not those the run was made with.
  package func checkBatches(_ found: Digest?, run: RunFolder) throws(RunError) {
    guard found != batches else { return }
    throw .damaged(
      """
      the batch journal, \(run.journalPath), does not hold the batches that \(run.path) was made with; bring back a copy of it, or \
      train anew
      """)
  }
}
