import Tensors

/// An array of numbers with a name, such as the weights of one layer.
public struct NamedTensor: Sendable, Equatable {
  public enum Element: Sendable {
    case float32
    /// Whole numbers, such as an update count.
    case int64
  }

  public let name: String
  /// The type of the elements in a file.
  public let element: Element
  /// The extents; empty for a single number.
  public let shape: [Int]
  /// The values in row-major order. Their number is the product of `shape`.
  public let values: [Float]

  public init(name: String, shape: [Int], values: [Float], element: Element = .float32) {
    precondition(shape.product == values.count, "\(values.count) values do not fill the shape \(shape)")
    self.name = name
    self.element = element
    self.shape = shape
    self.values = values
  }
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

    init(_ element: NamedTensor.Element) {
      self =
        switch element {
        case .float32: .float32
        case .int64: .int64
        }
    }

    /// The size of an element in bytes.
    var size: Int {
      switch self {
      case .float64, .int64: 8
      case .float32: 4
      case .float16, .bfloat16: 2
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
      }
    }

    /// The bits of an element that holds `value`, which must have come from a file of this type or be a whole number.
    func bits(_ value: Float) -> UInt64 {
      self == .int64 ? UInt64(bitPattern: Int64(value)) : UInt64(value.bitPattern)
    }

    /// Converts IEEE 754 binary16 in code, since `Float16` is not available on every platform.
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
