import Formats
import Replay
import Tensors

extension RunFolder {
  /// Overwrites the file of a checkpoint's state, or of one of its averages. A rewritten state is self-contained, and
  /// its record says so.
  /// - Parameter average: The index of the average in the record, and its rule; nil for the state.
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

  /// Restores a checkpoint, reading those it builds on first, and checks that it is the one the record describes.
  /// - Parameters:
  ///   - index: Contains the parents of the record.
  ///   - averages: Receive the running averages, in the order of the rules; empty if none are wanted.
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

  /// Reads one of a checkpoint's running averages and checks that it is the one the record describes.
  public func restore(
    _ average: StoredAverage, of record: CheckpointRecord, into state: inout TrainingState
  ) throws(StorageError) {
    try restore(average.file, position: record.position, digest: average.digest, into: &state)
  }

  /// Reads a chain of checkpoints, applying each difference to the state before it.
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

  /// Removes unreadable checkpoints and those that build on them. Rows are removed first, so that no row is without
  /// its file.
  public func giveUp(_ records: [CheckpointRecord], in database: RunDatabase) throws(StorageError) {
    let index = CheckpointIndex(try database.checkpoints())
    for record in Set(records.flatMap(index.descendants)) {
      try database.delete(record)
      try removeFiles(of: record)
    }
  }

  /// Reads a checkpoint into `state`, which must hold its parent's state if the checkpoint is stored as a difference.
  public func restore(following record: CheckpointRecord, into state: inout TrainingState) throws(StorageError) {
    try restore([record], into: &state)
  }

  /// The damages of a checkpoint's own files. Each file is checked against its checksums and its row, without
  /// decoding it.
  /// - Parameter index: Contains the parent of the record.
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

  /// Checks each checkpoint file in the folder against its own checksums; nil for an intact one.
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

  /// - Throws: `StorageError.damaged` if an intact file is not the one that the row describes.
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
