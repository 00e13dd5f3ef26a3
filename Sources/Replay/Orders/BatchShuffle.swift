import Tensors

/// An endless sequence of single batches in a random order, any of which is computed on its own, without a table.
///
/// The permutations are drawn by Philox from the rule's numbers alone. So they are the same for all seeds of a run, which share the plan;
/// what batches hold differs between seeds.
enum BatchShuffle: Hashable, Sendable {
  /// Epoch e = 0, 1, … holds the batches eE + 1 … (e + 1)E, as far as there are batches, in the order of permutation e of as many.
  case epochs(Int)
  /// Pair p = 0, 1, … is epoch p of `epochs(E)`, and then the same batches from its last to its first.
  case pairs(Int)
  /// The batches 1 … `count` in the order of permutation `number` of as many.
  case whole(number: Int, count: Int)

  /// The batch at `position`, counted from 0.
  subscript(position: Int) -> Int {
    switch self {
    case .epochs(let size):
      let (epoch, place) = position.quotientAndRemainder(dividingBy: size)
      return epoch * size + permutation(epoch)(place) + 1
    case .pairs(let size):
      let (pair, place) = position.quotientAndRemainder(dividingBy: 2 * size)
      return pair * size + permutation(pair)(min(place, 2 * size - 1 - place)) + 1
    case .whole:
      return permutation(0)(position) + 1
    }
  }

  /// How many batches at the beginning both have in common for certain; nil where only a comparison tells.
  func sharedCount(with other: BatchShuffle) -> Int? {
    switch (self, other) {
    case _ where self == other: .max
    case (.epochs(let a), .pairs(let b)) where a == b: a
    case (.pairs(let a), .epochs(let b)) where a == b: a
    default: nil
    }
  }

  /// The largest of the first `length` batches, which are at least one.
  func largestBatch(ofFirst length: Int) -> Int {
    let (size, stretch) =
      switch self {
      case .epochs(let size): (size, size)
      case .pairs(let size): (size, 2 * size)
      case .whole(_, let count): (count, count)
      }
    let (epoch, rest) = length.quotientAndRemainder(dividingBy: stretch)
    guard rest > 0 else { return epoch * size }
    let permutation = permutation(epoch)
    return epoch * size + largest(of: permutation, first: min(rest, permutation.count)) + 1
  }

  /// The largest of the first values of a permutation. The way that takes fewer steps is taken: over these values, or over all from the
  /// largest down to one of them, which takes `count / length` steps on average.
  private func largest(of permutation: KeyedPermutation, first length: Int) -> Int {
    guard length.multipliedReportingOverflow(by: length).partialValue > permutation.count else {
      return (0..<length).reduce(0) { max($0, permutation($1)) }
    }
    var value = permutation.count - 1
    while permutation.index(of: value) >= length { value -= 1 }
    return value
  }

  private func permutation(_ epoch: Int) -> KeyedPermutation {
    switch self {
    case .epochs(let size), .pairs(let size):
      // Only the last epoch that an iterate can reach has fewer: no pair goes so far.
      KeyedPermutation(count: min(size, BatchRun.largestBatch - epoch * size), source: RandomSource(seed: 0, purpose: .ordering), index: epoch)
    case .whole(let number, let count):
      KeyedPermutation(count: count, source: RandomSource(seed: UInt64(number), purpose: .ordering), index: count)
    }
  }
}
