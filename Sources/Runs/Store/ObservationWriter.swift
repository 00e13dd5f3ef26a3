import Formats
import GRDB
import Replay
import Tensors

/// Commits the observations that lanes make, off the lanes' threads. Those that arrive during one commit go into the
/// next one together. If lanes are faster than the disk, they wait for it, so that few observations are held in
/// memory.
public final class ObservationWriter: Sendable {
  private struct State {
    var pending: [Observation] = []
    var diverged: [DivergedIterate] = []
    var isWriting = false
    var failure: StorageError?
  }

  /// The number of observations waiting for the disk at which lanes begin to wait too.
  public static let capacity = 1024

  private let database: RunDatabase
  private let state = Lock(State())
  private let didCommit: @Sendable ([Observation]) -> Void

  /// - Parameter didCommit: Called with observations once they are on disk.
  public init(_ database: RunDatabase, didCommit: @escaping @Sendable ([Observation]) -> Void = { _ in }) {
    self.database = database
    self.didCommit = didCommit
  }

  /// Adds observations and diverged iterates. Returns at once unless too many are waiting to be written.
  /// - Throws: The error of an earlier commit that failed.
  public func add(_ observations: [Observation], diverged: [DivergedIterate] = []) throws(StorageError) {
    let (starts, isFull, failure) = state.withLock { state in
      state.pending += observations
      state.diverged += diverged
      defer { state.isWriting = true }
      return (!state.isWriting, state.pending.count + state.diverged.count >= Self.capacity, state.failure)
    }
    if let failure { throw failure }
    if starts { write() }
    if isFull { try wait() }
  }

  /// Returns once everything added is on disk: the queue is serial.
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
        state.isWriting = !(state.pending.isEmpty && state.diverged.isEmpty) && state.failure == nil
        return state.isWriting
      }
      if more { write() }
    }
  }

  /// Returns once everything added is on disk, even in a cancelled task: what a stopped replay has observed is kept.
  /// - Throws: The error of a commit that failed.
  public func finish() async throws(StorageError) {
    do {
      // The queue is serial, so earlier commits are done when this one begins.
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
    let (observations, diverged) = state.withLock { state in
      defer { (state.pending, state.diverged) = ([], []) }
      return (state.pending, state.diverged)
    }
    try database.checkIsThere()
    for observation in observations { try database.insert(observation, connection) }
    for iterate in diverged { try database.insert(iterate, connection) }
    return observations
  }

  private func fail(_ error: any Error) {
    let failure = RunDatabase.storageError(error, path: database.path)
    state.withLock { state in state.failure = state.failure ?? failure }
  }
}
