import Tensors

/// An array of numbers with a name, such as the weights of one layer.
public struct NamedTensor: Sendable, Equatable {
  public enum Numbers: Sendable, Equatable {
    case floats([Float])
    /// Whole numbers, such as a count of updates.
    case integers([Int64])

    /// How many there are.
    public var count: Int {
      switch self {
      case .floats(let values): values.count
      case .integers(let integers): integers.count
      }
    }

    var isInteger: Bool { if case .integers = self { true } else { false } }
  }

  /// What a file says of a tensor before its numbers.
  public struct Heading: Sendable, Equatable {
    public let name: String
    public let shape: [Int]
    /// Whether its numbers are whole.
    public let isInteger: Bool
    /// How many numbers it holds.
    public let count: Int

    public init(name: String, shape: [Int], isInteger: Bool = false) {
      self.name = name
      self.shape = shape
      self.isInteger = isInteger
      count = shape.reduce(1, *)
    }
  }

  public let name: String
  /// Its extents; empty for a single number.
  public let shape: [Int]
  /// Row-major; as many as the product of `shape`.
  public let numbers: Numbers

  public init(name: String, shape: [Int], values: [Float]) {
    precondition(shape.product == values.count, "\(values.count) values do not fill the shape \(shape)")
    self.name = name
    self.shape = shape
    numbers = .floats(values)
  }

  public init(name: String, shape: [Int], integers: [Int64]) {
    precondition(shape.product == integers.count, "\(integers.count) values do not fill the shape \(shape)")
    self.name = name
    self.shape = shape
    numbers = .integers(integers)
  }

  /// The numbers as floats; whole numbers beyond 2²⁴ are rounded.
  public var values: [Float] {
    switch numbers {
    case .floats(let values): values
    case .integers(let integers): integers.map { Float($0) }
    }
  }

  /// How many numbers it holds.
  public var count: Int { numbers.count }

  var heading: Heading { Heading(name: name, shape: shape, isInteger: numbers.isInteger) }
}

/// Reads and writes the format in which trained weights are commonly distributed: the length of the header, 8 bytes
/// little-endian; the header in JSON, `{name: {"dtype", "shape", "data_offsets": [begin, end]}, …}`, with texts under
/// `__metadata__`; then the bytes of the tensors, row-major and little-endian, which the offsets cover without gaps
/// or overlaps.
///
/// https://huggingface.co/docs/safetensors
public enum Safetensors {}

extension Safetensors {
  /// The key of the header under which there are texts instead of a tensor.
  static let metadataKey = "__metadata__"

  /// The longest header, in bytes, that the format's own implementation reads.
  static let longestHeader = 100_000_000

  /// The element types that can be read as floats. Whole numbers beyond 2²⁴ are rounded.
  enum ElementType: String, CaseIterable {
    case float32 = "F32"
    case float64 = "F64"
    case float16 = "F16"
    case bfloat16 = "BF16"
    case int64 = "I64"
    case uint8 = "U8"
    /// A byte that is 0 or 1, as masks have.
    case boolean = "BOOL"

    /// The size of an element in bytes.
    var size: Int {
      switch self {
      case .float64, .int64: 8
      case .float32: 4
      case .float16, .bfloat16: 2
      case .uint8, .boolean: 1
      }
    }

    /// The value of an element from its bits in little-endian order. A double is rounded to the nearest float.
    func value(bits: UInt64) -> Float {
      switch self {
      case .float32: Float(bitPattern: UInt32(truncatingIfNeeded: bits))
      case .float64: Float(Double(bitPattern: bits))
      case .float16: Self.half(UInt32(truncatingIfNeeded: bits))
      case .bfloat16: Float(bitPattern: UInt32(truncatingIfNeeded: bits) << 16)
      case .int64: Float(Int64(bitPattern: bits))
      case .uint8, .boolean: Float(bits)
      }
    }

    /// IEEE 754 binary16 by hand: not every platform has `Float16`.
    private static func half(_ bits: UInt32) -> Float {
      let exponent = bits >> 10 & 0x1F
      let fraction = bits & 0x3FF
      let magnitude =
        switch exponent {
        case 0: Float(fraction) * 0x1p-24
        case 31: Float(bitPattern: 0x7F80_0000 | fraction << 13)
        default: Float(bitPattern: (exponent + 112) << 23 | fraction << 13)
        }
      return bits & 0x8000 == 0 ? magnitude : -magnitude
    }
  }
}
