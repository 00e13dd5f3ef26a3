import CKernels

// What predictions of classes come to: loops over rows of logits.

extension Matrix {
  /// The most columns for `addCrossEntropies(of:to:)`.
  public static let fewLogits = Int(CK_FEW_LOGITS)

  /// Adds log Σ exp(x) − x_c for the logits x of each row and its class c to `sum`, one row after the other, with the bits of
  /// `Elementary.exponentialSums(_:minus:powers:)` from the largest logit, or 0 where that is −∞, and of `Elementary.log(_:)`.
  ///
  /// There are from 1 to `fewLogits` columns.
  /// - Parameter classes: One of the columns for each row; there may be more of them than rows.
  public func addCrossEntropies(of classes: [Int32], to sum: inout Double) {
    precondition((1...Self.fewLogits).contains(columns) && classes.count >= rows, "few logits, and a class for each row")
    for label in classes[..<rows] { precondition(label >= 0 && label < columns, "target \(label) is none of \(columns) classes") }
    sum = classes.withUnsafeBufferPointer { ck_add_cross_entropies(base, stride, rows, columns, $0.baseAddress, sum) }
  }

  /// The number of rows whose largest number, the first of equals, is finite and in the row's column. A row with NaN does not count.
  /// - Parameter places: A column for each row, or a number that is none; there may be more of them than rows.
  public func countHits(at places: [Int32]) -> Int {
    precondition(places.count >= rows, "a column for each row")
    return places.withUnsafeBufferPointer { ck_count_hits(base, stride, rows, columns, $0.baseAddress) }
  }
}
