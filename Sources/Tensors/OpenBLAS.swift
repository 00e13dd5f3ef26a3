import CKernels
import COpenBLAS

/// The system's OpenBLAS, which is loaded when it is first asked for. Several threads may use it at once; each product is computed on
/// the thread that asks for it.
public enum OpenBLAS {
  private static let loaded: (functions: openblas_functions, failure: String?) = {
    var functions = openblas_functions()
    let failure = openblas_load(&functions).map { String(cString: $0) }
    return (functions, failure)
  }()

  /// What keeps the library from being used; nil where nothing does.
  public static var failure: String? { loaded.failure }

  /// Version and core, such as `OpenBLAS 0.3.21 Haswell`: what its bits depend on besides the operands.
  ///
  /// The core names the kernels that the library has chosen for this processor, or that `OPENBLAS_CORETYPE` asks for.
  public static let identity: String = {
    guard failure == nil else { return "no OpenBLAS" }
    func text(_ characters: UnsafeMutablePointer<CChar>?) -> String { characters.map { String(cString: $0) } ?? "" }
    // Of the options that the library was built with, those behind the version choose no kernel.
    let version = text(loaded.functions.get_config()).split(separator: " ").prefix(2).joined(separator: " ")
    return "\(version) \(text(loaded.functions.get_corename()))"
  }()

  /// Whether the library may be used on several of the system's threads at once. Debian's variant without threads gives wrong numbers
  /// then, since it does not lock its buffers, and that for OpenMP expects threads of its own.
  private static let isReentrant = loaded.functions.get_parallel() == 1
  private static let lock = Lock(())

  /// The most bytes that the library takes for arranging operands, for each product that is computed at the same time: a block of the
  /// second factor, at most 1.2 MiB, and `rowsAtOnce` rows of up to 384 columns of the first, measured with its cores for x86-64.
  ///
  /// - Parameter operands: the bytes of both factors of the largest product; a packed copy of them is all that it can take.
  public static func bufferBytes(operands: Int) -> Int { min(operands, 3 << 20) }

  /// Rows of the first factor that are given to the library together. It arranges all the rows that it gets.
  private static let rowsAtOnce = 1024

  /// Computes a product, as `ck_multiply` does.
  ///
  /// The library takes extents and strides as 32-bit integers; a product with larger ones is the builtin kernels'.
  static func multiply(_ product: UnsafePointer<ck_product>) {
    precondition(failure == nil, "OpenBLAS can't be used; see OpenBLAS.failure")
    let p = product.pointee
    let isATransposed = p.is_a_transposed != 0
    let isBTransposed = p.b_column != 1
    guard let n = Int32(exactly: p.n), let k = Int32(exactly: p.k), let aStride = Int32(exactly: p.a_stride),
      let bStride = Int32(exactly: isBTransposed ? p.b_column : p.b_row), let cStride = Int32(exactly: p.c_row)
    else { return ck_multiply(product) }
    if let bias = p.bias { begin(p, with: bias) }
    func transposition(_ isTransposed: Bool) -> Int32 {
      Int32(isTransposed ? OPENBLAS_TRANSPOSED : OPENBLAS_NOT_TRANSPOSED)
    }
    for first in stride(from: 0, to: p.m, by: rowsAtOnce) {
      let m = Int32(min(rowsAtOnce, p.m - first))
      func multiply() {
        // A matrix of one row may have any stride, but the library wants none below the row's length.
        loaded.functions.multiply(
          Int32(OPENBLAS_ROW_MAJOR), transposition(isATransposed), transposition(isBTransposed), m, n, k, p.alpha,
          p.a + first * (isATransposed ? 1 : p.a_stride), max(aStride, isATransposed ? m : k, 1),
          p.b, max(bStride, isBTransposed ? k : n, 1), p.bias == nil ? p.beta : 1, p.c + first * p.c_row, max(cStride, n, 1))
      }
      if isReentrant { multiply() } else { lock.withLock { _ in multiply() } }
    }
  }

  /// c ← bias + β · c, to which the product is added.
  private static func begin(_ p: ck_product, with bias: UnsafePointer<Float>) {
    for row in 0..<p.m {
      let c = p.c + row * p.c_row
      if p.beta == 0 {
        c.update(from: bias, count: p.n)
      } else {
        for column in 0..<p.n { c[column] = bias[column] + p.beta * c[column] }
      }
    }
  }
}
