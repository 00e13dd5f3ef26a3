import CKernels
import COpenBLAS

/// The system's OpenBLAS. Several threads may call it at once; each product is computed on the thread that asks for it.
public enum OpenBLAS {
  /// Version and core, such as `OpenBLAS 0.3.21 Haswell`: what its bits depend on besides the operands.
  ///
  /// The core names the kernels that the library has chosen for this processor, or that `OPENBLAS_CORETYPE` asks for.
  public static let identity: String = {
    let version = String(cString: openblas_get_config()).split(separator: " ").prefix(2).joined(separator: " ")
    return "\(version) \(String(cString: openblas_get_corename()))"
  }()

  /// Some of its variants would share large products between threads of their own.
  private static let hasOneThread: Void = openblas_set_num_threads(1)

  /// Computes a product, as `ck_multiply` does.
  ///
  /// The library takes extents and strides as 32-bit integers; a product with larger ones is the builtin kernels'.
  static func multiply(_ product: UnsafePointer<ck_product>) {
    _ = hasOneThread
    let p = product.pointee
    let isATransposed = p.is_a_transposed != 0
    let isBTransposed = p.b_column != 1
    // A matrix of one row may have any stride, but the library wants none below the row's length.
    guard let m = blasint(exactly: p.m), let n = blasint(exactly: p.n), let k = blasint(exactly: p.k),
      let aStride = blasint(exactly: p.a_stride), let cStride = blasint(exactly: p.c_row),
      let bStride = blasint(exactly: isBTransposed ? p.b_column : p.b_row)
    else { return ck_multiply(product) }
    var beta = p.beta
    if let bias = p.bias {
      for row in 0..<p.m {
        let c = p.c + row * p.c_row
        for column in 0..<p.n { c[column] = beta == 0 ? bias[column] : bias[column] + beta * c[column] }
      }
      beta = 1
    }
    cblas_sgemm(
      CblasRowMajor, isATransposed ? CblasTrans : CblasNoTrans, isBTransposed ? CblasTrans : CblasNoTrans, m, n, k, p.alpha,
      p.a, max(aStride, isATransposed ? m : k, 1), p.b, max(bStride, isBTransposed ? k : n, 1), beta, p.c, max(cStride, n, 1))
  }
}
