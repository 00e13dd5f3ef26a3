import Foundation
import Tensors

/// A safetensors file that is open for reading. Its tensors are read when they are asked for, piece by piece, so that a
/// file of any size takes little memory.
///
///     let file = try SafetensorsFile(path: "model.safetensors")
///     for tensor in file.tensors {
///       for piece in file.pieces(of: tensor) { sum += try file.values(of: tensor, in: piece).reduce(0, +) }
///     }
public struct SafetensorsFile: Sendable {
  /// A tensor as the header describes it.
  public struct Tensor: Sendable, Equatable {
    public let name: String
    /// Its extents; empty for a single number.
    public let shape: [Int]
    /// How many numbers it holds: the product of `shape`.
    public let count: Int
    let type: Safetensors.ElementType
    /// The range of its bytes, counted from the end of the header.
    let bytes: Range<Int>

    init(name: String, type: Safetensors.ElementType, shape: [Int], count: Int, bytes: Range<Int>) {
      self.name = name
      self.shape = shape
      self.count = count
      self.type = type
      self.bytes = bytes
    }
  }

  /// The tensors, in the order of their bytes. The tensors cover the file without holes or overlaps.
  public let tensors: [Tensor]

  private let file: PositionedFile
  private let size: Int
  /// Where the header ends.
  private let dataStart: Int

  private static let remedy = "Fetch or make the file again."
  /// The largest size in bytes of what is read at once.
  private static let pieceSize = 1 << 20

  public var path: String { file.path }

  /// Opens a file and reads its header. Metadata is ignored.
  /// - Throws: `SafetensorsError.missing` if the file does not exist, can't be read, or is not a regular file;
  ///   `.damaged` if it violates the format or has elements of a type that can't be read as floats.
  public init(path: String) throws(SafetensorsError) {
    let file = try Self.open(path)
    let size = try Self.size(of: file)
    var prefix = ByteReader(try Self.read(8, of: file, size: size, at: 0, for: "the header's length"))
    let length = prefix.uint64()
    guard length <= Safetensors.longestHeader else {
      throw .damaged(
        path: path, place: .byte(0), reason: "a header of \(length) bytes is longer than the format allows",
        remedy: "Check that it is a safetensors file.")
    }
    let header = try Self.read(Int(length), of: file, size: size, at: 8, for: "the header")
    let tensors = try Self.tensors(header: header, path: path)
    let dataStart = 8 + Int(length)
    let end = tensors.last?.bytes.upperBound ?? 0
    try Self.require(end, in: file, size: size, at: dataStart, for: "the tensors")
    guard dataStart + end == size else {
      throw .damaged(
        path: path, place: .byte(dataStart + end), reason: "more bytes follow than the header tells of", remedy: Self.remedy)
    }
    (self.file, self.size, self.dataStart, self.tensors) = (file, size, dataStart, tensors)
  }

  /// Consecutive ranges of a tensor's values, each of which takes little memory.
  public func pieces(of tensor: Tensor) -> [Range<Int>] {
    let most = Self.pieceSize / tensor.type.size
    return stride(from: 0, to: tensor.count, by: most).map { $0..<min($0 + most, tensor.count) }
  }

  /// Values of a tensor as floats, row-major. Whole numbers beyond 2²⁴ are rounded.
  /// - Throws: `SafetensorsError.missing` if the file can't be read, and `.damaged` if it has become shorter or a double
  ///   is too large for float32.
  public func values(of tensor: Tensor, in range: Range<Int>) throws(SafetensorsError) -> [Float] {
    let bits = try bits(of: tensor, in: range)
    let values = bits.map { tensor.type.value(bits: $0) }
    guard tensor.type == .float64 else { return values }
    for (index, value) in values.enumerated() where !value.isFinite && Double(bitPattern: bits[index]).isFinite {
      throw .damaged(
        path: path, place: .tensor(tensor.name),
        reason: "element \(range.lowerBound + index), \(Double(bitPattern: bits[index])), is too large for float32",
        remedy: "Scale the tensor.")
    }
    return values
  }

  /// A whole tensor.
  /// - Throws: What `values` throws, and `SafetensorsError.tooLarge` if there is not enough memory for it.
  public func read(_ tensor: Tensor) throws(SafetensorsError) -> NamedTensor {
    try requireMemory(for: [tensor], content: "tensor “\(tensor.name)”")
    guard tensor.type == .int64 else {
      var values: [Float] = []
      values.reserveCapacity(tensor.count)
      for piece in pieces(of: tensor) { values += try self.values(of: tensor, in: piece) }
      return NamedTensor(name: tensor.name, shape: tensor.shape, values: values)
    }
    var integers: [Int64] = []
    integers.reserveCapacity(tensor.count)
    for piece in pieces(of: tensor) { integers += try bits(of: tensor, in: piece).map { Int64(bitPattern: $0) } }
    return NamedTensor(name: tensor.name, shape: tensor.shape, integers: integers)
  }

  /// Checks that there is memory for tensors as `NamedTensor`s.
  func requireMemory(for tensors: [Tensor], content: String) throws(SafetensorsError) {
    let (bytes, overflow) = tensors.reduce(0) { $0 + $1.count * ($1.type == .int64 ? 2 : 1) }
      .multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
    guard !overflow, SystemMemory.has(bytes) else {
      throw .tooLarge(path: path, reason: "\(content) takes \(overflow ? .max : bytes) bytes of memory\(SystemMemory.note)")
    }
  }

  /// Copies the file's bytes to a new file, which appears under its name only when it is complete and on disk.
  /// - Throws: `SafetensorsError.cannotWrite`.
  package func copy(to path: String) throws(SafetensorsError) {
    do throws(StorageError) {
      try PositionedFile.replace(path) { copy throws(StorageError) in
        for start in stride(from: 0, to: size, by: Self.pieceSize) {
          try copy.write(try file.read(count: min(Self.pieceSize, size - start), at: start), at: start)
        }
      }
    } catch {
      throw .cannotWrite(path: path, reason: error.reason)
    }
  }

  /// The bits of elements, the first byte lowest.
  private func bits(of tensor: Tensor, in range: Range<Int>) throws(SafetensorsError) -> [UInt64] {
    let elementSize = tensor.type.size
    var reader = ByteReader(
      try Self.read(
        range.count * elementSize, of: file, size: size,
        at: dataStart + tensor.bytes.lowerBound + range.lowerBound * elementSize, for: "tensor “\(tensor.name)”"))
    return range.map { _ in reader.integer(size: elementSize) }
  }
}

// MARK: - Bytes

extension SafetensorsFile {
  private static func open(_ path: String) throws(SafetensorsError) -> PositionedFile {
    do throws(SystemFailure) { return try PositionedFile(input: path) } catch { throw missing(path, error) }
  }

  private static func missing(_ path: String, _ failure: SystemFailure) -> SafetensorsError {
    switch failure.code {
    case 0: .missing(path: path, reason: "is not a regular file", remedy: "Copy its content to a file on disk.")
    case EISDIR: .missing(path: path, reason: "is a folder, not a file", remedy: "Name a file in it.")
    case ENOENT: .missing(path: path, reason: "there is no such file", remedy: "Check its path and permissions.")
    default: .missing(path: path, reason: failure.reason, remedy: "Check its path and permissions.")
    }
  }

  private static func size(of file: PositionedFile) throws(SafetensorsError) -> Int {
    do { return try file.size() } catch { throw unreadable(file, error) }
  }

  private static func unreadable(_ file: PositionedFile, _ error: StorageError) -> SafetensorsError {
    .missing(path: file.path, reason: "can't be read: \(error.reason)", remedy: "Check the disk.")
  }

  /// Reads the `count` bytes from `offset` on, which contain `content`. No more memory is allocated than the file's size
  /// justifies.
  private static func read(
    _ count: Int, of file: PositionedFile, size: Int, at offset: Int, for content: String
  ) throws(SafetensorsError) -> [UInt8] {
    try require(count, in: file, size: size, at: offset, for: content)
    guard SystemMemory.has(count) else {
      throw .tooLarge(path: file.path, reason: "\(content) takes \(count) bytes of memory\(SystemMemory.note)")
    }
    let bytes: [UInt8]
    do { bytes = try file.read(upTo: count, at: offset) } catch { throw unreadable(file, error) }
    guard bytes.count == count else {
      throw .damaged(
        path: file.path, place: .byte(offset),
        reason: "ends within \(content): it needs \(count) bytes, \(bytes.count) are there", remedy: remedy)
    }
    return bytes
  }

  /// Checks that the file contains `count` bytes from `offset` on, before memory is allocated for them.
  private static func require(
    _ count: Int, in file: PositionedFile, size: Int, at offset: Int, for content: String
  ) throws(SafetensorsError) {
    guard count <= size - offset else {
      throw .damaged(
        path: file.path, place: .byte(offset),
        reason: "ends within \(content): it needs \(count) bytes and can't hold more than \(size - offset)", remedy: remedy)
    }
  }
}

extension Safetensors {
  /// The tensors of a file, in the order of their bytes, all in memory. Elements of type F32, F64, F16 or BF16 become
  /// floats, those of type I64 whole numbers.
  /// - Throws: `SafetensorsError.missing`; `.damaged` if the file violates the format or has another element type;
  ///   `.tooLarge` if there is not enough memory for the tensors.
  public static func read(path: String) throws(SafetensorsError) -> [NamedTensor] {
    let file = try SafetensorsFile(path: path)
    // Before memory is allocated for any tensor, all must fit.
    try file.requireMemory(for: file.tensors, content: "its tensors")
    var tensors: [NamedTensor] = []
    for tensor in file.tensors { tensors.append(try file.read(tensor)) }
    return tensors
  }
}
