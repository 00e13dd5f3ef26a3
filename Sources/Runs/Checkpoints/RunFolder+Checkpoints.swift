import Formats
import Replay
import Tensors

extension RunFolder {
  /// Writes a checkpoint's state, or one of its averages, anew over what is there, and notes that it stands alone.
  /// - Parameters:
  ///   - state: what is written.
  ///   - record: the checkpoint's row.
  ///   - average: the place of the average among the record's, and its rule; nil for the state.
  ///   - database: the run's, open for writing.
  public func rewrite(
    _ state: borrowing TrainingState, of record: CheckpointRecord, average: (place: Int, rule: String)?, in database: RunDatabase
  ) throws(StorageError) {
    let label = CheckpointLabel(record, average: average?.rule, identity: try database.record().identity)
    let file = average.map { record.averages[$0.place].file } ?? record.file
    try makeCheckpointFolder()
    _ = try CheckpointFile.write(
      state.values, updateCount: state.updateCount, options: CheckpointOptions(label: label.text), to: checkpointPath(file))
    var rewritten = record
    if average == nil { rewritten.parent = nil }
    rewritten.bytes = 0
    for file in record.files { rewritten.bytes += (try? PositionedFile.open(checkpointPath(file)).size()) ?? 0 }
    try database.replace(rewritten)
  }

  /// Reads a checkpoint, with those it is a difference to, and checks that it is the one the record tells of.
  /// - Parameters:
  ///   - record: the checkpoint's row.
  ///   - index: where its parents are found.
  ///   - state: takes the state; as long as the one stored.
  ///   - averages: take its running averages, by rule; empty where none are wanted.
  public func restore(
    _ record: CheckpointRecord, among index: CheckpointIndex, into state: inout TrainingState,
    averages: [StoredState] = []
  ) throws(StorageError) {
    guard let chain = index.chain(to: record) else {
      throw .damaged(path: checkpointPath(record.file), reason: "the checkpoint it is the difference to is missing")
    }
    try restore(chain, into: &state)
    for (average, stored) in zip(averages, record.averages) {
      try average.write { average throws(StorageError) in
        try restore(stored, of: record, into: &average)
      }
    }
  }

  /// Reads one of a checkpoint's running averages, and checks that it is the one the record tells of.
  public func restore(
    _ average: StoredAverage, of record: CheckpointRecord, into state: inout TrainingState
  ) throws(StorageError) {
    try restore(average.file, position: record.position, digest: average.digest, into: &state)
  }

  /// Reads a chain of checkpoints, each over the one before.
  func restore(_ chain: [CheckpointRecord], into state: inout TrainingState) throws(StorageError) {
    for record in chain { try restore(record.file, position: record.position, digest: record.digest, into: &state) }
  }

  private func restore(
    _ file: String, position: Int, digest: Digest, into state: inout TrainingState
  ) throws(StorageError) {
    let path = checkpointPath(file)
    try checkCheckpointFolder()
    let header = try CheckpointFile.read(path, into: &state.values)
    state.updateCount = header.updateCount
    try check(header, of: path, position: position, digest)
  }

  /// Removes checkpoints that can't be read, and those that are differences to them: rows first, so that no row is without its
  /// file.
  public func giveUp(_ records: [CheckpointRecord], in database: RunDatabase) throws(StorageError) {
    let index = CheckpointIndex(try database.checkpoints())
    for record in Set(records.flatMap(index.descendants)) {
      try database.delete(record)
      try removeFiles(of: record)
    }
  }

  /// Reads a checkpoint over the state of the one it is a difference to, where that is at hand.
  public func restore(following record: CheckpointRecord, into state: inout TrainingState) throws(StorageError) {
    try restore([record], into: &state)
  }

  /// What is wrong with a checkpoint's own files, without decoding them: each is checked against its checksums and against
  /// what the row says.
  /// - Parameters:
  ///   - record: the checkpoint's row.
  ///   - index: where its parent is found.
  public func damages(of record: CheckpointRecord, among index: CheckpointIndex) -> [StorageError] {
    let parent = record.parent.flatMap { index.at($0, on: .init(record)) }
    var damages: [StorageError] = []
    for (file, digest) in [(record.file, record.digest)] + record.averages.map({ ($0.file, $0.digest) }) {
      let path = checkpointPath(file)
      do throws(StorageError) {
        try checkCheckpointFolder()
        let header = try CheckpointFile.verify(path)
        try check(header, of: path, position: record.position, digest)
        guard header.parentDigest == nil || header.parentDigest == parent?.digest else {
          throw .damaged(path: path, reason: "the checkpoint it is the difference to is missing")
        }
      } catch {
        damages.append(error)
      }
    }
    return damages
  }

  /// What is wrong with each of the checkpoint files that are there, by its own checksums; nil for nothing.
  public func damagesOfCheckpointFiles() throws(StorageError) -> [StorageError?] {
    try checkpointFiles().filter { UnfinishedFile.finalName(of: $0) == nil }.map { file in
      do throws(StorageError) {
        try CheckpointFile.verify(checkpointPath(file))
        return nil
      } catch {
        return error
      }
    }
  }

  /// - Throws: `StorageError.damaged` where a file is whole, but not the one a row tells of.
  private func check(
    _ header: CheckpointHeader, of path: String, position: Int, _ digest: Digest
  ) throws(StorageError) {
    guard header.updateCount != position || header.digest != digest else { return }
    throw .damaged(
      path: path,
      reason: """
        it holds a state after \(header.updateCount) updates with the digest \(header.digest), not the one after \
        \(position) with \(digest)
        """)
  }
}
