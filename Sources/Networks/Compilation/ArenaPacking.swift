import Tensors

/// A block of an arena that is in use from one step of a program to another.
struct Lifetime {
  let count: Int
  /// The steps in which it is used, first and last.
  var steps: ClosedRange<Int>
}

/// Offsets for blocks in one arena, so that those in use at the same time do not overlap.
///
/// Largest first, each at the lowest place that is free during its steps: the rule of greedy-by-size offset assignment
/// (Pisarchyk and Lee 2020, "Efficient memory management for deep neural net inference").
struct ArenaPacking {
  /// By block.
  let regions: [Region]
  /// Length of the arena.
  let count: Int

  init(_ blocks: [Lifetime]) {
    func aligned(_ count: Int) -> Int {
      (count + FloatBuffer.alignment - 1) / FloatBuffer.alignment * FloatBuffer.alignment
    }
    var offsets = [Int](repeating: 0, count: blocks.count)
    var placed: [Int] = []
    var end = 0
    let order = blocks.indices.sorted { (blocks[$0].count, $1) > (blocks[$1].count, $0) }
    for index in order where blocks[index].count > 0 {
      let block = blocks[index]
      var offset = 0
      // `placed` is in order of offsets, so the first gap that is wide enough is the lowest.
      for other in placed where blocks[other].steps.overlaps(block.steps) {
        if offset + aligned(block.count) <= offsets[other] { break }
        offset = max(offset, offsets[other] + aligned(blocks[other].count))
      }
      offsets[index] = offset
      placed.insert(index, at: placed.firstIndex { offsets[$0] > offset } ?? placed.count)
      end = max(end, offset + aligned(block.count))
    }
    regions = blocks.indices.map { Region(offset: offsets[$0], count: blocks[$0].count) }
    count = end
  }
}
