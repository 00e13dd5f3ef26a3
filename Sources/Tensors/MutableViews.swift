/// Consecutive floats of a `FloatBuffer`, for writing as well as reading: the destinations of kernels.
///
/// It comes from `FloatBuffer.mutableVector`, which needs the buffer exclusively, and from nowhere else. Its parts may
/// overlap, as those of an arena do whose regions are in use at different times; kernels say where they allow that a
/// destination is one of their sources too. Whoever takes the view keeps the buffer for as long as it is used, and lets nobody
/// else use the same floats in that time; see `Vector`.
public struct MutableVector {
  /// The same floats, for reading.
  public let vector: Vector

  @inlinable init(base: UnsafeMutablePointer<Float>, count: Int) {
    vector = Vector(base: UnsafePointer(base), count: count)
  }

  /// - Parameter vector: made from a view that writes.
  @inlinable init(writing vector: Vector) {
    self.vector = vector
  }

  /// The first float. Every instance was made from a mutable pointer, so that one may be made of it again.
  @inlinable var base: UnsafeMutablePointer<Float> { UnsafeMutablePointer(mutating: vector.base) }

  /// Length in floats.
  @inlinable public var count: Int { vector.count }

  @inlinable public subscript(index: Int) -> Float {
    get { vector[index] }
    nonmutating set { assert(index >= 0 && index < count); base[index] = newValue }
  }

  /// The floats of `region`, whose offset counts from the start of this vector.
  public func part(_ region: Region) -> MutableVector { MutableVector(writing: vector.part(region)) }

  /// The first `rows · columns` floats as a matrix of `rows` × `columns`, row by row.
  public func matrix(rows: Int, columns: Int) -> MutableMatrix {
    MutableMatrix(writing: vector.matrix(rows: rows, columns: columns))
  }
}

/// A row-major matrix in a `FloatBuffer`, for writing as well as reading. It is made from a `MutableVector`, and the same holds for
/// it.
public struct MutableMatrix {
  /// The same matrix, for reading.
  public let matrix: Matrix

  /// - Parameter matrix: made from a view that writes.
  @inlinable init(writing matrix: Matrix) {
    self.matrix = matrix
  }

  @inlinable public var rows: Int { matrix.rows }
  @inlinable public var columns: Int { matrix.columns }
  @inlinable var stride: Int { matrix.stride }
  @inlinable var base: UnsafeMutablePointer<Float> { UnsafeMutablePointer(mutating: matrix.base) }

  /// Row `index` as a vector of `columns` floats.
  @inlinable public subscript(row index: Int) -> MutableVector { MutableVector(writing: matrix[row: index]) }

  /// The rows in `range`, as a matrix of `range.count` × `columns`.
  public func rows(_ range: Range<Int>) -> MutableMatrix { MutableMatrix(writing: matrix.rows(range)) }

  /// The columns in `range`, as a matrix of `rows` × `range.count` with gaps between its rows.
  public func columns(_ range: Range<Int>) -> MutableMatrix { MutableMatrix(writing: matrix.columns(range)) }

  /// The same floats, in the same order, in rows of `columns`. There may be no gaps between rows.
  public func rearranged(columns: Int) -> MutableMatrix { MutableMatrix(writing: matrix.rearranged(columns: columns)) }

  /// All `rows · columns` floats. There may be no gaps between rows.
  public var elements: MutableVector { MutableVector(writing: matrix.elements) }

  /// The first float, for kernels that write on from row to row.
  var gapless: UnsafeMutablePointer<Float> { UnsafeMutablePointer(mutating: matrix.gapless) }
}
