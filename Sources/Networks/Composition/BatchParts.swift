import Tensors

/// The parts in which a batch may go through a layer, so that gradients which are added up part after part, in the order of the
/// rows, have the bits of the whole batch's.
public enum BatchParts: Sendable, Equatable {
  /// Parts of a multiple of so many examples, 1 or more. The last part may be shorter.
  case multiples(of: Int)
  /// The whole batch only. The reason is a sentence without its full stop.
  case whole(because: String)

  /// Any parts: for layers without parameters whose outputs of an example depend on that example alone, and those that add the
  /// gradient of one row after the other to `GradientTarget.values`.
  public static let any = BatchParts.multiples(of: 1)

  /// For layers whose gradients are sums over rows as `multiply`, with its first factor transposed, and `Matrix.addColumnSums` make
  /// them: in blocks of `MatrixKernels.sumRows` rows, each from zero.
  /// - Parameter rows: how many rows an example has, 1 or more.
  public static func sums(rowsPerExample rows: Int) -> BatchParts {
    .multiples(of: MatrixKernels.sumRows / greatestCommonDivisor(MatrixKernels.sumRows, rows))
  }

  /// What suits this and another layer.
  public func and(_ other: BatchParts) -> BatchParts {
    switch (self, other) {
    case (.whole, _): self
    case (_, .whole): other
    case (.multiples(let a), .multiples(let b)):
      .multiples(of: a / Self.greatestCommonDivisor(a, b) * b)
    }
  }

  private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
    var (a, b) = (a, b)
    while b != 0 { (a, b) = (b, a % b) }
    return a
  }
}

/// A part of a batch that goes through a network by itself, forward and back.
public struct MicroBatch: Sendable, Equatable {
  /// Which of the batch's examples it has.
  public let examples: Range<Int>
  public let isFirst: Bool
  public let isLast: Bool

  /// Part `index` of a batch in parts of `size` examples.
  init(_ index: Int, of size: Int, batchSize: Int) {
    examples = index * size..<min((index + 1) * size, batchSize)
    isFirst = index == 0
    isLast = examples.upperBound == batchSize
  }
}
