import Tensors

/// Names what determines bits besides the mathematics: the version of the kernels, and how they round.
public enum NumericsFingerprint {
  /// The fingerprint of a problem in this process, such as `float32; kernels 5; products fused`, and behind that what the problem
  /// says its bits depend on, such as `; OpenBLAS 0.3.21 Haswell with avx2`.
  ///
  /// Products are `fused` where they are rounded once with the sum they are added to: on every processor with AVX2, AVX-512 or NEON.
  /// Elsewhere they are `rounded` before.
  public static func current(for problem: some TrainingProblem) -> String { current(numerics: problem.numerics) }

  package static func current(numerics: String? = nil) -> String {
    let own = "float32; kernels \(MatrixKernels.revision); products \(MatrixKernels.areFused ? "fused" : "rounded")"
    return numerics.map { "\(own); \($0)" } ?? own
  }

  /// The fingerprint of a run that was made with `earlier` and continues with `current`. It is `current` alone if the
  /// bits are the same, and otherwise `mixed: A; then B`, in which no fingerprint is repeated in a row, however often
  /// the run is resumed.
  package static func joining(_ earlier: String, with current: String) -> String {
    if earlier == current { return current }
    var names: [String] = []
    // Runs of earlier releases may contain `mixed:` more than once.
    for name in earlier.replacing(mixedPrefix, with: "").split(separator: separator).map(String.init) + [current]
    where name != names.last { names.append(name) }
    return mixedPrefix + names.joined(separator: separator)
  }

  private static let mixedPrefix = "mixed: "
  private static let separator = "; then "
}
