import HeapModule

/// Hands out a plan's tasks to lanes: always the first in the list whose prerequisites are done.
///
/// The first unfinished task waits for nobody, so lanes never wait for each other in a circle; and one lane alone
/// takes the tasks in their order.
actor TaskBoard {
  private var ready: Heap<Int>
  private var missing: [Int]
  /// The tasks that wait for a task, by task.
  private var followers: [Int: [Int]] = [:]
  /// Zero as well when the replay has stopped.
  private var unfinished: Int
  private var idleLanes: [CheckedContinuation<Int?, Never>] = []

  init(_ plan: ReplayPlan) {
    unfinished = plan.taskCount
    let missing = (0..<plan.taskCount).map { plan.prerequisites(ofTask: $0).count }
    self.missing = missing
    ready = Heap(missing.indices.filter { missing[$0] == 0 })
    for task in missing.indices {
      for earlier in plan.prerequisites(ofTask: task) { followers[earlier, default: []].append(task) }
    }
  }

  /// The next task to do, when there is one; nil when all are done or the replay has stopped.
  func next() async -> Int? {
    if unfinished == 0 { return nil }
    if let task = ready.popMin() { return task }
    return await withCheckedContinuation { idleLanes.append($0) }
  }

  func finish(_ task: Int) {
    guard unfinished > 0 else { return }
    unfinished -= 1
    for follower in followers.removeValue(forKey: task) ?? [] {
      missing[follower] -= 1
      if missing[follower] == 0 { ready.insert(follower) }
    }
    if unfinished == 0 {
      stop()
    } else {
      while !idleLanes.isEmpty, let task = ready.popMin() { idleLanes.removeLast().resume(returning: task) }
    }
  }

  /// No more tasks are given out; lanes that wait get nil.
  func stop() {
    unfinished = 0
    for lane in idleLanes { lane.resume(returning: nil) }
    idleLanes = []
  }
}
