/// A view of consecutive floats of a `FloatBuffer`, for kernels. Not an owner: valid while its buffer lives.
public struct Vector {
  @usableFromInline let base: UnsafeMutablePointer<Float>
  public let count: Int

  @inlinable init(base: UnsafeMutablePointer<Float>, count: Int) {
    self.base = base
    self.count = count
  }

  @inlinable public subscript(index: Int) -> Float {
    get { assert(index >= 0 && index < count); return base[index] }
    nonmutating set { assert(index >= 0 && index < count); base[index] = newValue }
  }

  /// The floats of `region`.
  public func part(_ region: Region) -> Vector {
    precondition(region.offset >= 0 && region.end <= count, "region outside the vector")
    return Vector(base: base + region.offset, count: region.count)
  }

  /// The same floats in rows: a matrix of `rows` × `columns`, row by row.
  public func matrix(rows: Int, columns: Int) -> Matrix {
    precondition(rows * columns <= count, "\(rows) × \(columns) floats do not fit in a vector of \(count)")
    return Matrix(base: base, rows: rows, columns: columns)
  }
}

/// A row-major matrix view of a `FloatBuffer`. Not an owner: valid while its buffer lives.
public struct Matrix {
  @usableFromInline let base: UnsafeMutablePointer<Float>
  public let rows: Int
  public let columns: Int
  /// Floats from the start of one row to that of the next: `columns`, or more for some columns of a wider matrix.
  @usableFromInline let stride: Int

  @inlinable init(base: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int? = nil) {
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

  /// The rows in `range`.
  public func rows(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows outside the matrix")
    return Matrix(base: base + range.lowerBound * stride, rows: range.count, columns: columns, stride: stride)
  }

  /// The columns in `range`, with gaps between rows.
  public func columns(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= columns, "columns outside the matrix")
    return Matrix(base: base + range.lowerBound, rows: rows, columns: range.count, stride: stride)
  }

  /// The same floats in rows of `columns`. There may be no gaps between rows.
  public func rearranged(columns: Int) -> Matrix {
    precondition(columns > 0 && (rows * self.columns).isMultiple(of: columns), "rows do not come out even")
    return Matrix(base: gapless, rows: rows * self.columns / columns, columns: columns)
  }

  /// All `rows · columns` floats. There may be no gaps between rows.
  public var elements: Vector { Vector(base: gapless, count: rows * columns) }

  /// The first float, for kernels that read on from row to row.
  var gapless: UnsafeMutablePointer<Float> {
    precondition(stride == columns || rows <= 1, "a matrix without gaps between rows is needed")
    return base
  }
}
