import CKernels

/// What computes products of matrices.
public enum ProductLibrary: String, CaseIterable, Sendable {
  /// The kernels of this package, with the same bits at every level of SIMD that has fused multiply-adds. No bit of a product depends
  /// on its other rows and columns.
  case builtin
  /// The system's OpenBLAS. A product of the same operands has the same bits each time, but a row of it may have other bits in a
  /// product with fewer rows, and a sum over parts of the inner extent other bits than the whole one.
  case openBLAS = "openblas"

  var multiplier: ck_multiplier {
    switch self {
    case .builtin: { ck_multiply($0) }
    case .openBLAS: { if let product = $0 { OpenBLAS.multiply(product) } }
    }
  }
}

/// How products of matrices are computed, and the convolutions that are made of them.
public struct Products: Sendable, Hashable {
  public let library: ProductLibrary
  /// How many threads a large product is shared between, 1 or more. No bit depends on it.
  public let threads: Int

  /// - Parameter threads: for `openBLAS` it is taken as 1: each product is computed on the thread that asks for it.
  public init(_ library: ProductLibrary = .builtin, threads: Int = 1) {
    self.library = library
    self.threads = library == .builtin ? threads : 1
  }
}
