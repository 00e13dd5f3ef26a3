import HeapModule

/// Hands out a plan's segments to lanes: always the first in the list whose prerequisites are done.
///
/// The first unfinished segment waits for nobody, so lanes never wait for each other in a circle; and one lane alone
/// takes the segments in their order.
actor SegmentBoard {
  private var ready: Heap<Int>
  private var missing: [Int]
  /// The segments that wait for a segment, by segment.
  private var followers: [Int: [Int]] = [:]
  /// Zero as well when the replay has stopped.
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

  /// The next segment to do, when there is one; nil when all are done or the replay has stopped.
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

  /// No more segments are given out; lanes that wait get nil.
  func stop() {
    unfinished = 0
    for lane in idleLanes { lane.resume(returning: nil) }
    idleLanes = []
  }
}
