import Formats
import Replay
import Tensors

/// Digests of the inputs a run was made from, so that a replay from changed files is noticed.
public struct InputDigests: Codable, Equatable, Sendable {
  /// Digest of the data the run trains and measures on; nil for a problem without data.
  public var data: Digest?
  /// Digest of the initial state's tensors; nil if the initial state follows from the seed.
  public var initial: Digest?
  /// Digest of imported batches; nil if batches follow from seeds.
  public var batches: Digest?
  /// Digests of other files by path, including those of orders.
  public var files: [String: Digest]

  public init(data: Digest? = nil, initial: Digest? = nil, batches: Digest? = nil, files: [String: Digest] = [:]) {
    self.data = data
    self.initial = initial
    self.batches = batches
    self.files = files
  }

  /// These digests with those of the files that a workload's orders were read from.
  func adding(_ orderFiles: [String: Digest]) -> InputDigests {
    var all = self
    all.files.merge(orderFiles) { first, _ in first }
    return all
  }

  /// - Throws: `RunError.damaged`, naming the input that has changed.
  func check(against current: InputDigests, run: RunFolder) throws(RunError) {
    var changed = files.keys.sorted().first { current.files[$0] != files[$0] }
    if current.initial != initial { changed = "the initial state, \(run.initialStatePath)," }
    if current.data != data { changed = "the data set" }
    if let changed {
      throw .damaged("\(changed) is not what it was when \(run.path) was made; bring it back, or train anew")
    }
    try checkBatches(current.batches, run: run)
  }

  /// - Throws: `RunError.damaged` if the journal's batches are not those the run was made with.
  package func checkBatches(_ found: Digest?, run: RunFolder) throws(RunError) {
    guard found != batches else { return }
    throw .damaged(
      """
      the batch journal, \(run.journalPath), does not hold the batches that \(run.path) was made with; bring back a copy of it, or \
      train anew
      """)
  }
}
