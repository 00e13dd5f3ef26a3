import CKernels

// Loops over views. Each runs in index order, so that its result does not depend on who calls it.

/// Asks for memory that will be read soon.
public func prefetch(_ bytes: RawSpan) {
  bytes.withUnsafeBytes { ck_prefetch($0.baseAddress, $0.count) }
}

extension MutableVector {
  /// Every element ← `value`.
  public func fill(_ value: Float) {
    base.update(repeating: value, count: count)
  }

  /// self ← source, both of the same length.
  public func copy(from source: Vector) {
    precondition(count == source.count)
    base.update(from: source.base, count: count)
  }

  /// self ← source / divisor, for pixels and other bytes; both have the same length.
  public func copy(bytes source: Span<UInt8>, dividedBy divisor: Float) {
    precondition(count == source.count)
    source.withUnsafeBufferPointer { bytes in
      if let start = bytes.baseAddress { ck_assign_bytes(base, start, divisor, count) }
    }
  }

  /// self ← source, both of the same length.
  public func copy(floats source: Span<Float>) {
    precondition(count == source.count)
    source.withUnsafeBufferPointer { floats in
      if let start = floats.baseAddress { base.update(from: start, count: count) }
    }
  }

  /// self ← max(self, 0), element by element; NaN stays NaN.
  public func rectify() {
    ck_rectify(base, count)
  }

  /// self ← 0 where `output` is not positive: the gradient of `rectify`, given its result, which is as long.
  public func keep(where output: Vector) {
    precondition(count == output.count)
    ck_keep_positive(base, output.base, count)
  }

  /// self ← self + other, both of the same length.
  public func add(_ other: Vector) {
    precondition(count == other.count)
    ck_add(base, other.base, count)
  }

  /// self ← factor · self, element by element.
  public func scale(by factor: Float) {
    ck_scale(base, factor, count)
  }

  /// self ← keep · self + factor · other, both of the same length. With keep = 0, old values are not read.
  public func assign(_ factor: Float, times other: Vector, plus keep: Float) {
    precondition(count == other.count)
    ck_combine(base, keep, other.base, factor, count)
  }
}

extension MutableVector {
  /// self ← source rounded to bfloat16, two numbers in each float's place: self is half as long, rounded up.
  package func packBfloat16(_ source: Vector) {
    precondition(count == (source.count + 1) / 2)
    ck_pack_bfloat16(source.base, source.count, base)
  }

  /// self ← self rounded to bfloat16, to nearest even.
  package func roundToBfloat16() { ck_round_bfloat16(base, count) }

  /// self ← source rounded to binary16, two numbers in each float's place: self is half as long, rounded up.
  package func packFloat16(_ source: Vector) {
    precondition(count == (source.count + 1) / 2)
    ck_pack_float16(source.base, source.count, base)
  }

  /// self ← the numbers that `packBfloat16` has put into `source`.
  package func unpackBfloat16(_ source: Vector) {
    precondition(source.count == (count + 1) / 2)
    ck_unpack_bfloat16(source.base, count, base)
  }

  /// self ← the numbers that `packFloat16` has put into `source`.
  package func unpackFloat16(_ source: Vector) {
    precondition(source.count == (count + 1) / 2)
    ck_unpack_float16(source.base, count, base)
  }
}

extension MutableMatrix {
  /// Every row ← `row`, which is `columns` long.
  public func fillRows(with row: Vector) {
    precondition(row.count == columns)
    for r in 0..<rows { self[row: r].copy(from: row) }
  }
}

extension Matrix {
  /// target ← keep · target + scale · (sum of the rows), the rows added first to last in blocks of `MatrixKernels.sumRows`. With
  /// keep = 0, old values are not read.
  public func addColumnSums(scaledBy scale: Float, to target: MutableVector, keeping keep: Float) {
    precondition(target.count == columns)
    ck_column_sums(gapless, rows, columns, scale, target.base, keep)
  }
}
