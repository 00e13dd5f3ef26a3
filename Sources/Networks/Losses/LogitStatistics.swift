import Tensors

/// What a loss of classes needs to know of a prediction's logits x besides each of them: gathered chunk by chunk where
/// there are too many classes for all logits to be in memory.
///
/// Exponentials are added up in blocks of 1,024 classes, each relative to its own largest logit, as
/// `Elementary.exponentialSums(_:minus:powers:)` does. A block with the largest m′ and the sum s′ turns the largest m and the sum s
/// of those before it into max(m, m′) and s exp(m − max) + s′ exp(m′ − max). A chunk is a multiple of a block, or reaches to the last
/// class, so that no bit depends on how many chunks there are.
///
/// A logit of −∞ adds nothing. One that is NaN or +∞ makes both sums NaN. If all logits are −∞, both sums are 0, and there is no
/// softmax: it is NaN.
public struct LogitStatistics: Sendable {
  /// Classes in a block.
  public static let block = 1024

  /// How many logits there have been: in the end, how many classes there are.
  public private(set) var count = 0
  /// m, the largest logit.
  public private(set) var largest: Float = 0
  /// Σ exp(x − m), added up in double precision.
  public private(set) var sum = 0.0
  /// The same added up in single precision, as a gradient takes it.
  public private(set) var singleSum: Float = 0
  /// Σ x.
  public private(set) var logitSum = 0.0
  /// The logit of the prediction's class; 0 before its chunk has come.
  public private(set) var targetLogit: Float = 0

  public init() {}

  /// log Σ exp(x), in which nothing overflows.
  public var logOfSum: Double { Elementary.log(sum) + Double(largest) }

  /// Takes the logits of the classes from `count` on.
  /// - Parameters:
  ///   - logits: a multiple of `block`, or those up to the last class.
  ///   - target: the prediction's class.
  ///   - powers: takes the exponentials, for `writeSoftmax(of:times:to:holdsPowers:)`; as long as `logits`, or nil.
  public mutating func add(_ logits: Vector, target: Int, powers: MutableVector? = nil) {
    precondition(count.isMultiple(of: Self.block), "a chunk of classes that is not the last is a multiple of a block")
    if target >= count && target < count + logits.count { targetLogit = logits[target - count] }
    Self.forBlocks(of: logits) { block, region in add(block: block, powers: powers?.part(region)) }
  }

  private mutating func add(block: Vector, powers: MutableVector?) {
    let largest = block[block.indexOfLargest]
    let origin = Self.origin(largest)
    let sums = Elementary.exponentialSums(block, minus: origin, powers: powers)
    logitSum += sums.numbers
    if count == 0 {
      (self.largest, sum, singleSum) = (largest, sums.powers, sums.singlePowers)
    } else if largest > self.largest {
      let factor = Elementary.exp(Double(self.largest) - Double(origin))
      sum = sum * factor + sums.powers
      singleSum = singleSum * Float(factor) + sums.singlePowers
      self.largest = largest
    } else {
      let factor = Elementary.exp(Double(largest) - Double(Self.origin(self.largest)))
      sum += sums.powers * factor
      singleSum += sums.singlePowers * Float(factor)
    }
    count += block.count
  }

  /// result ← weight · softmax(x) for some of the logits, once all have been added.
  /// - Parameters:
  ///   - logits: a chunk as for `add(_:target:powers:)`.
  ///   - result: as long.
  ///   - holdsPowers: whether `result` has the exponentials already, from `add(_:target:powers:)`.
  public func writeSoftmax(
    of logits: Vector, times weight: Float, to result: MutableVector, holdsPowers: Bool = false
  ) {
    let scale = weight / singleSum
    Self.forBlocks(of: logits) { block, region in
      let result = result.part(region)
      let largest = count <= Self.block ? self.largest : block[block.indexOfLargest]
      let origin = Self.origin(largest)
      if !holdsPowers { result.assignExponentials(of: block, minus: origin) }
      result.scale(by: Float(Elementary.exp(Double(largest) - Double(Self.origin(self.largest)))) * scale)
    }
  }

  /// What is subtracted before exponentials are taken: the largest logit, or 0 where that is −∞, from which it can't be.
  private static func origin(_ largest: Float) -> Float { largest == -.infinity ? 0 : largest }

  private static func forBlocks(of logits: Vector, _ body: (Vector, Region) -> Void) {
    for first in stride(from: 0, to: logits.count, by: block) {
      let region = Region(offset: first, count: min(block, logits.count - first))
      body(logits.part(region), region)
    }
  }
}
