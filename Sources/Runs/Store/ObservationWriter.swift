import Formats
import GRDB
import Replay
import Tensors

/// Commits observations as lanes make them, off the lanes' threads: those that arrive while one commit is under way
/// go into the next one together. Where lanes are faster than the disk, they wait for it, so that few are ever held.
public final class ObservationWriter: Sendable {
  private struct State {
    var pending: [Observation] = []
    var isWriting = false
    var failure: StorageError?
  }

  /// How many observations wait for the disk before a lane does.
  public static let capacity = 1024

  private let database: RunDatabase
  private let state = Lock(State())
  private let didCommit: @Sendable ([Observation]) -> Void

  /// - Parameters:
  ///   - database: the run's, open for writing.
  ///   - didCommit: told of observations once they are on disk.
  public init(_ database: RunDatabase, didCommit: @escaping @Sendable ([Observation]) -> Void = { _ in }) {
    self.database = database
    self.didCommit = didCommit
  }

  /// Takes observations, and returns at once unless too many wait to be written.
  /// - Throws: why an earlier commit failed.
  public func add(_ observations: [Observation]) throws(StorageError) {
    let (starts, isFull, failure) = state.withLock { state in
      state.pending += observations
      defer { state.isWriting = true }
      return (!state.isWriting, state.pending.count >= Self.capacity, state.failure)
    }
    if let failure { throw failure }
    if starts { write() }
    if isFull { try wait() }
  }

  /// Returns when what was added is on disk: the queue is serial.
  private func wait() throws(StorageError) {
    do {
      didCommit(try database.queue.write { try drain($0) })
    } catch {
      fail(error)
    }
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  private func write() {
    database.queue.asyncWrite { [self] in try drain($0) } completion: { [self] _, result in
      if case .failure(let error) = result { fail(error) }
      if case .success(let committed) = result { didCommit(committed) }
      let more = state.withLock { state in
        state.isWriting = !state.pending.isEmpty && state.failure == nil
        return state.isWriting
      }
      if more { write() }
    }
  }

  /// Returns when all that was added is on disk, also in a task that is cancelled: what a stopped replay has seen is kept.
  /// - Throws: why a commit failed.
  public func finish() async throws(StorageError) {
    do {
      // The queue is serial: commits begun before are done when this one begins.
      let committed = try await withCheckedThrowingContinuation { continuation in
        database.queue.asyncWrite { [self] in try drain($0) } completion: { continuation.resume(with: $1) }
      }
      didCommit(committed)
    } catch {
      fail(error)
    }
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  private func drain(_ connection: Database) throws -> [Observation] {
    let observations = state.withLock { state in
      defer { state.pending = [] }
      return state.pending
    }
    try database.checkIsThere()
    for observation in observations { try database.insert(observation, connection) }
    return observations
  }

  private func fail(_ error: any Error) {
    let failure = RunDatabase.storageError(error, path: database.path)
    state.withLock { state in state.failure = state.failure ?? failure }
  }
}
