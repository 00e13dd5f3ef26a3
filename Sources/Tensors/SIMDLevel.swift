import CKernels

/// The instructions that kernels are compiled for: `avx512` (x86-64-v4), `avx2` (x86-64-v3) and `sse2`, or `neon`.
///
/// All levels with fused multiply-adds give the same bits, and so do all others: what differs between these and those are products
/// of matrices and convolutions.
public struct SIMDLevel: Sendable, Equatable, CustomStringConvertible {
  public let description: String

  /// The level in use: the best that this machine has, unless `use(_:)` chose another.
  public static var current: SIMDLevel { SIMDLevel(index: Int(ck_level())) }

  /// Those that this machine has, best first.
  public static var available: [SIMDLevel] {
    (0..<4).filter { ck_has_level(Int32($0)) }.map { SIMDLevel(index: $0) }
  }

  private init(index: Int) {
    description = ck_level_name(Int32(index)).map { String(cString: $0) } ?? "none"
  }

  /// Takes a level in the whole process from now on. Choose before anything is computed.
  /// - Returns: false where this machine has no level of that name.
  public static func use(_ name: String) -> Bool { ck_set_process_level(name) }
}
