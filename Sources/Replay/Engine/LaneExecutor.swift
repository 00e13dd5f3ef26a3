import Dispatch
import Foundation
import Tensors

/// Runs lanes on a thread of their own, one lane at a time.
///
/// A lane computes for long stretches without a pause. On the threads that all tasks of a process share, lanes would keep
/// everything else waiting: whoever takes observations as they are made, and the user interface of the program around them.
///
/// The thread is this executor's for as long as the executor is there. A dispatch queue would take another one of the
/// system's threads whenever a job meets a busy one, and each of them takes memory that no plan knows of.
final class LaneExecutor: TaskExecutor {
  /// What the thread does next. It outlives the executor until the thread has seen that there is no more.
  private final class Jobs: Sendable {
    private let waiting = Lock<[@Sendable () -> Void]>([])
    private let count = DispatchSemaphore(value: 0)

    func add(_ job: @escaping @Sendable () -> Void) {
      waiting.withLock { $0.append(job) }
      count.signal()
    }

    /// Ends the thread once the jobs before are done.
    func end() { count.signal() }

    /// Returns after `end`.
    func run() {
      while true {
        count.wait()
        guard let job = waiting.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else { return }
        job()
      }
    }
  }

  private let jobs = Jobs()

  init() {
    let thread = Thread { [jobs] in jobs.run() }
    thread.name = "lane"
    thread.start()
  }

  deinit { jobs.end() }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    jobs.add { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
