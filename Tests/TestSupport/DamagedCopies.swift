import Tensors

/// `count` damaged copies of `bytes`, the same ones each time: either truncated or with one to four bytes changed.
public func damagedCopies(of bytes: [UInt8], count: Int) -> [[UInt8]] {
  let source = RandomSource(seed: 7, purpose: .sampling)
  return (0..<count).map { copy in
    if copy.isMultiple(of: 4) {
      return Array(bytes.prefix(source.index(below: bytes.count, batch: copy, example: 0)))
    }
    var changed = bytes
    for change in 0..<copy % 4 + 1 {
      let position = source.index(below: bytes.count, batch: copy, example: 2 * change)
      changed[position] ^= UInt8(1 + source.index(below: 255, batch: copy, example: 2 * change + 1))
    }
    return changed
  }
}
