/// Finds iterates that are the same state, whatever orders they belong to: `splice:16` equals `backward` up to n =
/// 16.
public struct EqualIterates {
  private let orders: [CompositionOrder]

  public init(orders: [CompositionOrder]) {
    self.orders = orders
  }

  /// Pairs each of `wanted` with an iterate of `known` that applies the same batches, if there is one.
  ///
  /// Complete sequences are compared only if their lengths and some of their batches agree, which is rare.
  /// - Throws: `CancellationError` soon after the surrounding task is cancelled.
  public func pairs(of wanted: [Iterate], among known: [Iterate]) throws -> [(wanted: Iterate, known: Iterate)] {
    guard !wanted.isEmpty, !known.isEmpty else { return [] }
    var cancellation = CancellationChecks()
    let wantedKeys = try wanted.map {
      try cancellation.check()
      return key($0)
    }
    var keys = Set(wantedKeys)
    let candidates = try known.compactMap { iterate -> Entry? in
      try cancellation.check()
      let key = key(iterate)
      return keys.contains(key) ? entry(iterate, key: key, isKnown: true) : nil
    }
    keys = Set(candidates.map(\.key))
    let entries = candidates + zip(wanted, wantedKeys).compactMap { keys.contains($1) ? entry($0, key: $1, isKnown: false) : nil }
    let sorted = try entries.sorted {
      try cancellation.check()
      guard $0.key == $1.key else { return $0.key < $1.key }
      // A known iterate comes before the wanted ones it equals.
      return $0.sequence == $1.sequence ? $0.isKnown && !$1.isKnown : $0.sequence < $1.sequence
    }
    var pairs: [(wanted: Iterate, known: Iterate)] = []
    var last: Entry?
    for entry in sorted {
      if entry.isKnown {
        last = entry
      } else if let last, last.key == entry.key, last.sequence == entry.sequence {
        pairs.append((entry.iterate, last.iterate))
      }
    }
    return pairs
  }

  private struct Entry {
    let iterate: Iterate
    let sequence: BatchSequence
    let key: Int
    let isKnown: Bool
  }

  private func entry(_ iterate: Iterate, key: Int, isKnown: Bool) -> Entry {
    Entry(iterate: iterate, sequence: orders[iterate.order].sequence(iterate.n), key: key, isKnown: isKnown)
  }

  /// A hash that is the same for equal sequences and rarely for different ones.
  private func key(_ iterate: Iterate) -> Int {
    let sequence = orders[iterate.order].sequence(iterate.n)
    var hasher = Hasher()
    hasher.combine(sequence.count)
    for place in 0..<7 { hasher.combine(sequence[sequence.count / 7 * place]) }
    hasher.combine(sequence[sequence.count - 1])
    return hasher.finalize()
  }
}
