import CKernels
import Dispatch

/// Matrix products and convolutions: how threads share one, and what decides its bits.
public enum MatrixKernels {
  /// Whether a product and the sum it is added to are rounded once, at the level of SIMD in use. Bits depend on it.
  public static var areFused: Bool { ck_is_fused() }

  /// The version of the kernels' bits: it is raised whenever kernels give other bits than those before them.
  public static let revision = 5

  /// How many rows of a batch a gradient's sum over them takes together: it adds them up from zero, and then adds that to the
  /// sum of those before. So a batch in parts of a multiple of so many rows gives the bits of the whole one.
  public static let sumRows = Int(CK_SUM_ROWS)

  /// Multiply-adds below which threads would cost more than they bring.
  private static let worthSharing = 1 << 21

  /// Calls `body` with parts of 0 ..< count, on up to `threads` threads where there is work for them.
  static func share(_ count: Int, threads: Int, work: Int, _ body: (Range<Int>) -> Void) {
    let parts = min(threads, count, work / worthSharing + 1)
    guard parts > 1 else { return body(0..<count) }
    withoutActuallyEscaping(body) { body in
      // Ranges do not overlap, and every caller's `body` writes only what belongs to its range, so no two threads write to the
      // same memory; `concurrentPerform` returns when all calls have, so nothing outlives the scope.
      nonisolated(unsafe) let body = body
      DispatchQueue.concurrentPerform(iterations: parts) { body($0 * count / parts..<($0 + 1) * count / parts) }
    }
  }
}

/// c ← α · op(a) · op(b) + bias + β · c, where op transposes if asked to. With β = 0 the old contents of `c` are not read.
///
/// By the builtin kernels every sum runs over the inner extent in its order, so that no bit of it depends on the other rows and
/// columns.
/// - Parameters:
///   - a: rows × inner extent, or the other way round where it is transposed.
///   - b: inner extent × columns, or the other way round where it is transposed.
///   - c: rows × columns. It shares no memory with the sources.
///   - bias: added to every row; as long as one.
///   - products: what computes it.
public func multiply(
  _ a: Matrix, transposed transposeA: Bool = false, by b: Matrix, byTransposed transposeB: Bool = false,
  into c: MutableMatrix, alpha: Float = 1, beta: Float = 0, bias: Vector? = nil, products: Products = Products()
) {
  let (m, k) = transposeA ? (a.columns, a.rows) : (a.rows, a.columns)
  let (inner, n) = transposeB ? (b.columns, b.rows) : (b.rows, b.columns)
  precondition(inner == k && c.rows == m && c.columns == n, "matrix shapes do not fit")
  precondition(bias == nil || bias?.count == n, "a bias as long as a row")
  MatrixKernels.share(m, threads: products.threads, work: m * n * k) { rows in
    var product = ck_product(
      m: rows.count, n: n, k: k,
      a: a.base + rows.lowerBound * (transposeA ? 1 : a.stride), a_stride: a.stride, is_a_transposed: transposeA ? 1 : 0,
      b: b.base, b_row: transposeB ? 1 : b.stride, b_column: transposeB ? b.stride : 1,
      c: c.base + rows.lowerBound * c.stride, c_row: c.stride, alpha: alpha, beta: beta, bias: bias?.base)
    products.library.multiplier(&product)
  }
}
