extension ReplayPlan {
  /// The size of the plan in memory, in bytes.
  public var byteCount: Int {
    segments.capacity * MemoryLayout<Segment>.stride + prerequisiteStarts.capacity * MemoryLayout<Int>.stride
      + prerequisiteList.capacity * MemoryLayout<Int32>.stride + planOfReplica.capacity * MemoryLayout<Int>.stride
      + replicaPlans.reduce(0) { sum, work in
        // A set reserves room for at least a third more elements than it holds.
        sum + work.tree.byteCount + work.averaged.capacity + 2 * work.averagesObserved.capacity * MemoryLayout<Int>.stride
      }
  }

  /// The additional memory for executing the plan, in bytes: the record of which segments wait for which.
  public var boardByteCount: Int {
    // Each segment takes two numbers; each one that others wait for takes a list in a dictionary entry besides.
    segmentCount * 2 * MemoryLayout<Int>.stride + (prerequisiteList.isEmpty ? 0 : min(segmentCount, prerequisiteList.count) * 112)
  }
}

extension PrefixTree {
  var byteCount: Int {
    nodes.capacity * MemoryLayout<Node>.stride + points.capacity * MemoryLayout<PathPoint>.stride + isNeeded.capacity
  }
}
