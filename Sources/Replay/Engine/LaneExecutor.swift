import Dispatch

/// Runs lanes on a thread of their own, one lane at a time.
///
/// A lane computes for long stretches without a pause. On the threads that all tasks of a process share, lanes would keep
/// everything else waiting: whoever takes observations as they are made, and the user interface of the program around them.
final class LaneExecutor: TaskExecutor {
  private let queue = DispatchQueue(label: "lane")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
