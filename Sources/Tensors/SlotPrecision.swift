import CKernels

/// How the numbers of optimizer slots lie in a training state.
public enum SlotPrecision: String, Sendable, CaseIterable, CustomStringConvertible {
  /// A float for each number.
  case float32
  /// A byte for each number and a float for each block of 256 (Dettmers, Lewis, Shleifer, Zettlemoyer 2022, "8-bit optimizers via
  /// block-wise quantization", arXiv 2110.02861).
  ///
  /// A block is its scale, which is the largest magnitude of its numbers, and a code for each of them, four in a float's place; the last
  /// block may be shorter. A number is scale · q(code), where q is the paper's dynamic tree, as the library bitsandbytes has it: 0; 1;
  /// and for e = 0 … 6 the numbers 10^(e − 6) (0.1 + 0.9 (k + ½) / c), k = 0 … c − 1. Numbers with a sign have c = 2^e and the
  /// opposites of all but 1, which makes 256; those without, such as second moments, have c = 2^(e + 1).
  ///
  /// A number becomes the code nearest to its quotient by the scale, of two equally near ones that of the smaller magnitude. A second
  /// moment that is positive never becomes 0, which updates would divide by. A block of zeros is zero bits, and one that holds NaN or
  /// an infinity is NaN as a whole.
  case eightBit = "8bit"

  /// How many numbers have a scale together.
  public static let block = Int(CK_BLOCK)

  public var description: String { rawValue }

  /// The floats of a state that so many numbers take.
  public func floatCount(of numbers: Int) -> Int {
    switch self {
    case .float32: numbers
    case .eightBit: (numbers + Self.block - 1) / Self.block + (numbers + 3) / 4
    }
  }
}

/// The numbers of an optimizer's slot, or whole blocks of them, in a training state.
public struct SlotVector {
  /// How many numbers there are.
  public let count: Int
  public let precision: SlotPrecision
  let base: UnsafeMutablePointer<Float>

  /// - Parameter floats: As many as `count` numbers take in the precision.
  public init(_ floats: MutableVector, count: Int, _ precision: SlotPrecision) {
    precondition(floats.count == precision.floatCount(of: count), "the floats of another number of numbers")
    (self.count, self.precision, base) = (count, precision, floats.base)
  }
}

/// The numbers that the codes of `SlotPrecision.eightBit` stand for.
///
/// It is Sendable although it holds a pointer: the table is written before the pointer is there, only read afterwards, and never freed.
package struct BlockCode: @unchecked Sendable {
  package let table: OpaquePointer

  /// For first moments and velocities.
  package static let signed = BlockCode(isSigned: true)
  /// For second moments.
  package static let unsigned = BlockCode(isSigned: false)

  private init(isSigned: Bool) {
    guard let table = ck_make_code(isSigned) else { preconditionFailure("there is no memory for a table of 13 KiB") }
    self.table = table
  }

  /// Writes the blocks of some numbers.
  package func encode(_ numbers: Vector, into blocks: MutableVector) {
    precondition(blocks.count == SlotPrecision.eightBit.floatCount(of: numbers.count))
    ck_encode_blocks(table, numbers.base, numbers.count, blocks.base)
  }

  /// Writes the numbers of some blocks.
  package func decode(_ blocks: Vector, into numbers: MutableVector) {
    precondition(blocks.count == SlotPrecision.eightBit.floatCount(of: numbers.count))
    ck_decode_blocks(table, blocks.base, numbers.count, numbers.base)
  }
}
