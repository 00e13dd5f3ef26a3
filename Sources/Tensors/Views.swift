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

/// A row-major matrix view of a `FloatBuffer`, without gaps between rows. Not an owner: valid while its buffer lives.
public struct Matrix {
  @usableFromInline let base: UnsafeMutablePointer<Float>
  public let rows: Int
  public let columns: Int

  @inlinable init(base: UnsafeMutablePointer<Float>, rows: Int, columns: Int) {
    self.base = base
    self.rows = rows
    self.columns = columns
  }

  /// Row `index` as a vector of `columns` floats.
  @inlinable public subscript(row index: Int) -> Vector {
    assert(index >= 0 && index < rows)
    return Vector(base: base + index * columns, count: columns)
  }

  /// The rows in `range`.
  public func rows(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows outside the matrix")
    return Matrix(base: base + range.lowerBound * columns, rows: range.count, columns: columns)
  }

  /// The same floats in rows of `columns`.
  public func rearranged(columns: Int) -> Matrix {
    precondition(columns > 0 && (rows * self.columns).isMultiple(of: columns), "rows do not come out even")
    return Matrix(base: base, rows: rows * self.columns / columns, columns: columns)
  }

  /// All `rows · columns` floats.
  @inlinable public var elements: Vector { Vector(base: base, count: rows * columns) }
}
