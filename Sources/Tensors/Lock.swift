#if BACKTRAIL_TSAN
  import Foundation

  /// A mutex of pthreads around a value, for builds under ThreadSanitizer (`make sanitize`), which does not see the
  /// futexes of `Synchronization.Mutex` and would report races where there are none.
  ///
  /// Sendable because the value is reached through `withLock` alone, where the mutex is held: it was sent here when the lock was made,
  /// and what `body` takes in or gives out is `sending`, so that no other reference to it remains. The type is not copyable and owns
  /// both allocations, which go when nobody can call it any more.
  public struct Lock<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let value = UnsafeMutablePointer<Value>.allocate(capacity: 1)

    public init(_ initial: consuming sending Value) {
      pthread_mutex_init(mutex, nil)
      value.initialize(to: initial)
    }

    deinit {
      value.deinitialize(count: 1)
      value.deallocate()
      pthread_mutex_destroy(mutex)
      mutex.deallocate()
    }

    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
      _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
      pthread_mutex_lock(mutex)
      defer { pthread_mutex_unlock(mutex) }
      // Held by this thread alone until `body` has returned.
      nonisolated(unsafe) let value = value
      return try body(&value.pointee)
    }
  }
#else
  import Synchronization

  /// The one mutex of the project, so that a build can choose another: see above.
  public typealias Lock<Value: ~Copyable> = Mutex<Value>
#endif
