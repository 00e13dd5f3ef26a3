import Tensors

/// A block of an arena that is in use from one step of a program to another.
struct Lifetime {
  /// Its length in floats.
  let count: Int
  /// The steps in which it is used, from the first to the last.
  var steps: ClosedRange<Int>
}

/// Offsets for blocks in one arena, so that those in use at the same time do not overlap.
///
/// Larger blocks are placed before smaller ones, each at the lowest place that is free during its steps: the rule of greedy-by-size
/// offset assignment (Pisarchyk and Lee 2020, "Efficient memory management for deep neural net inference").
struct ArenaPacking {
  /// The place of each block, in the order of the blocks.
  let regions: [Region]
  /// Length of the arena, in floats.
  let count: Int

  init(_ blocks: [Lifetime]) {
    func aligned(_ count: Int) -> Int {
      (count + FloatBuffer.alignment - 1) / FloatBuffer.alignment * FloatBuffer.alignment
    }
    var offsets = [Int](repeating: 0, count: blocks.count)
    /// The blocks that have their place, in order of offsets, so that the first gap that is wide enough is the lowest.
    var placed: [Placed] = []
    var end = 0
    let order = blocks.indices.sorted { (blocks[$0].count, $1) > (blocks[$1].count, $0) }
    for index in order where blocks[index].count > 0 {
      let (size, steps) = (aligned(blocks[index].count), blocks[index].steps)
      var offset = 0
      for other in placed where other.firstStep <= steps.upperBound && other.lastStep >= steps.lowerBound {
        if offset + size <= other.offset { break }
        offset = max(offset, other.end)
      }
      offsets[index] = offset
      placed.insert(
        Placed(offset: offset, end: offset + size, firstStep: steps.lowerBound, lastStep: steps.upperBound),
        at: placed.firstIndex { $0.offset > offset } ?? placed.count)
      end = max(end, offset + size)
    }
    regions = blocks.indices.map { Region(offset: offsets[$0], count: blocks[$0].count) }
    count = end
  }
}

private struct Placed {
  let offset: Int
  let end: Int
  let firstStep: Int
  let lastStep: Int
}
