import HeapModule

/// Hands out a plan's segments to lanes: always the first one in the list whose prerequisites are done.
///
/// The first unfinished segment waits for no other, so lanes never wait for each other in a circle. A single lane
/// takes the segments in the order of the list.
actor SegmentBoard {
  private var ready: Heap<Int>
  private var missing: [Int]
  /// The segments that wait for each segment.
  private var followers: [Int: [Int]] = [:]
  /// The number of unfinished segments; 0 also when the replay has stopped.
  private var unfinished: Int
  private var idleLanes: [CheckedContinuation<Int?, Never>] = []

  init(_ plan: ReplayPlan) {
    unfinished = plan.segmentCount
    let missing = (0..<plan.segmentCount).map { plan.prerequisites(ofSegment: $0).count }
    self.missing = missing
    ready = Heap(missing.indices.filter { missing[$0] == 0 })
    for segment in missing.indices {
      for earlier in plan.prerequisites(ofSegment: segment) { followers[earlier, default: []].append(segment) }
    }
  }

  /// Waits for the next segment to execute; nil if all are done or the replay has stopped.
  func next() async -> Int? {
    if unfinished == 0 { return nil }
    if let segment = ready.popMin() { return segment }
    return await withCheckedContinuation { idleLanes.append($0) }
  }

  func finish(_ segment: Int) {
    guard unfinished > 0 else { return }
    unfinished -= 1
    for follower in followers.removeValue(forKey: segment) ?? [] {
      missing[follower] -= 1
      if missing[follower] == 0 { ready.insert(follower) }
    }
    if unfinished == 0 {
      stop()
    } else {
      while !idleLanes.isEmpty, let segment = ready.popMin() { idleLanes.removeLast().resume(returning: segment) }
    }
  }

  /// Stops handing out segments. Waiting lanes get nil.
  func stop() {
    unfinished = 0
    for lane in idleLanes { lane.resume(returning: nil) }
    idleLanes = []
  }
}
