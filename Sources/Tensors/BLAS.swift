import COpenBLAS

/// The calls into OpenBLAS, and what of it decides bits.
public enum BLAS {
  /// c ← α · op(a) · op(b) + β · c, where op transposes if asked to. With β = 0 the old contents of `c` are not read.
  public static func multiply(
    _ a: Matrix, transposed transposeA: Bool = false, by b: Matrix, byTransposed transposeB: Bool = false,
    into c: Matrix, alpha: Float = 1, beta: Float = 0
  ) {
    let (m, k) = transposeA ? (a.columns, a.rows) : (a.rows, a.columns)
    let (inner, n) = transposeB ? (b.columns, b.rows) : (b.rows, b.columns)
    precondition(inner == k && c.rows == m && c.columns == n, "matrix shapes do not fit")
    cblas_sgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
      blasint(m), blasint(n), blasint(k), alpha, a.base, blasint(a.stride), b.base, blasint(b.stride),
      beta, c.base, blasint(c.stride))
  }

  /// Sets how many threads one call uses. It holds for the whole process and changes bits: it belongs to the
  /// numerics fingerprint.
  public static func setThreads(_ count: Int) {
    openblas_set_num_threads(Int32(count))
  }

  public static var threads: Int { Int(openblas_get_num_threads()) }

  /// The kernels OpenBLAS chose for this processor, such as `Haswell` or `SkylakeX`.
  public static var coreName: String { String(cString: openblas_get_corename()) }

  /// OpenBLAS's version, such as `0.3.21`.
  public static var version: String {
    // The configuration string reads "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...".
    let words = String(cString: openblas_get_config()).split(separator: " ")
    return words.count > 1 ? String(words[1]) : "unknown"
  }
}
