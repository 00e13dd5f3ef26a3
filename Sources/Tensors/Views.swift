/// Consecutive floats of a `FloatBuffer`, for reading: the sources of kernels.
///
/// `Vector` and `Matrix` are to `MutableVector` and `MutableMatrix` as `Span` is to `MutableSpan`. A borrowed buffer gives
/// views for reading only, `FloatBuffer.vector`; a view that writes is made from exclusive access, `FloatBuffer.mutableVector`,
/// or from another view that writes. Nothing turns a view for reading into one that writes, so that a function that borrows
/// a state can't change it.
///
/// No view owns memory, and the compiler does not check that its buffer is still there: whoever takes a view from a buffer keeps
/// the buffer for as long as the view, or anything made from it, is used. In a network that is `CompiledNetwork`: it has state and
/// workspace as arguments for the whole of a pass, and a layer keeps nothing from one pass to the next. What lives longer
/// than one call takes a `Span`, whose lifetime is checked.
///
/// The views are not `~Escapable`, which would have it checked here too, because Swift 6.3 lets no function return such a
/// value without the experimental feature `Lifetimes`. A layer written in another package, with a helper that picks a part of
/// a view, would need the feature in its manifest; and the standard library's `Optional.map` takes no such value.
public struct Vector {
  @usableFromInline let base: UnsafePointer<Float>
  /// Length in floats.
  public let count: Int

  @inlinable init(base: UnsafePointer<Float>, count: Int) {
    self.base = base
    self.count = count
  }

  @inlinable public subscript(index: Int) -> Float {
    assert(index >= 0 && index < count)
    return base[index]
  }

  /// The floats of `region`, whose offset counts from the start of this vector.
  public func part(_ region: Region) -> Vector {
    precondition(region.offset >= 0 && region.end <= count, "region outside the vector")
    return Vector(base: base + region.offset, count: region.count)
  }

  /// The first `rows · columns` floats as a matrix of `rows` × `columns`, row by row.
  public func matrix(rows: Int, columns: Int) -> Matrix {
    precondition(rows * columns <= count, "\(rows) × \(columns) floats do not fit in a vector of \(count)")
    return Matrix(base: base, rows: rows, columns: columns)
  }
}

/// A row-major matrix in a `FloatBuffer`, for reading. As with `Vector`, whoever makes it keeps the buffer while it is used.
public struct Matrix {
  @usableFromInline let base: UnsafePointer<Float>
  public let rows: Int
  public let columns: Int
  /// Floats from the start of one row to that of the next: `columns`, or more where these are some columns of a wider matrix.
  @usableFromInline let stride: Int

  @inlinable init(base: UnsafePointer<Float>, rows: Int, columns: Int, stride: Int? = nil) {
    self.base = base
    self.rows = rows
    self.columns = columns
    self.stride = stride ?? columns
  }

  /// Row `index` as a vector of `columns` floats.
  @inlinable public subscript(row index: Int) -> Vector {
    assert(index >= 0 && index < rows)
    return Vector(base: base + index * stride, count: columns)
  }

  /// The rows in `range`, as a matrix of `range.count` × `columns`.
  public func rows(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows outside the matrix")
    return Matrix(base: base + range.lowerBound * stride, rows: range.count, columns: columns, stride: stride)
  }

  /// The columns in `range`, as a matrix of `rows` × `range.count` with gaps between its rows.
  public func columns(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= columns, "columns outside the matrix")
    return Matrix(base: base + range.lowerBound, rows: rows, columns: range.count, stride: stride)
  }

  /// The same floats, in the same order, in rows of `columns`. There may be no gaps between rows.
  public func rearranged(columns: Int) -> Matrix {
    precondition(columns > 0 && (rows * self.columns).isMultiple(of: columns), "rows do not come out even")
    return Matrix(base: gapless, rows: rows * self.columns / columns, columns: columns)
  }

  /// All `rows · columns` floats. There may be no gaps between rows.
  public var elements: Vector { Vector(base: gapless, count: rows * columns) }

  /// The first float, for kernels that read on from row to row.
  var gapless: UnsafePointer<Float> {
    precondition(stride == columns || rows <= 1, "a matrix without gaps between rows is needed")
    return base
  }
}
