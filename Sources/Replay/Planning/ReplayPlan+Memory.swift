extension ReplayPlan {
  /// What the plan takes in memory, in bytes.
  public var byteCount: Int {
    segments.capacity * MemoryLayout<Segment>.stride + prerequisiteStarts.capacity * MemoryLayout<Int>.stride
      + prerequisiteList.capacity * MemoryLayout<Int32>.stride + planOfReplica.capacity * MemoryLayout<Int>.stride
      + replicaPlans.reduce(0) { sum, work in
        // A set has room for a third more than it holds at least.
        sum + work.tree.byteCount + work.averaged.capacity + 2 * work.averagesObserved.capacity * MemoryLayout<Int>.stride
      }
  }

  /// What following it takes besides, in bytes: which segments wait for which.
  public var boardByteCount: Int {
    // Two numbers a segment; of those that others wait for, a list in a dictionary's entry.
    segmentCount * 2 * MemoryLayout<Int>.stride + (prerequisiteList.isEmpty ? 0 : min(segmentCount, prerequisiteList.count) * 112)
  }
}

extension PrefixTree {
  var byteCount: Int {
    nodes.capacity * MemoryLayout<Node>.stride + points.capacity * MemoryLayout<PathPoint>.stride + isNeeded.capacity
  }
}
