import Formats
import Foundation
import Replay
import Tensors

/// Names what determines bits besides the mathematics: libraries and the instructions they chose.
public enum NumericsFingerprint {
  /// The fingerprint of this process, such as `float32; kernels 3; products avx512; glibc 2.36; x86_64 avx512`.
  public static func current() -> String {
    "float32; kernels \(MatrixKernels.revision); products \(MatrixKernels.level); \(mathLibrary); \(processor)"
  }

  /// Whether a run made with this fingerprint has the same bits here.
  package static func isCurrent(_ fingerprint: String) -> Bool { withRevision(fingerprint) == current() }

  /// Adds the kernel revision to fingerprints of the first release, which did not name it. Its kernels are revision
  /// 1.
  private static func withRevision(_ fingerprint: String) -> String {
    fingerprint.contains("; kernels ")
      ? fingerprint : fingerprint.replacing("float32; ", with: "float32; kernels 1; ", maxReplacements: 1)
  }

  /// The fingerprint of a run that was made with `earlier` and continues with `current`. It is `current` alone if the
  /// bits are the same, and otherwise `mixed: A; then B`, in which no fingerprint is repeated in a row, however often
  /// the run is resumed.
  package static func joining(_ earlier: String, with current: String) -> String {
    if withRevision(earlier) == current { return current }
    var names: [String] = []
    // Runs of earlier releases may contain `mixed:` more than once.
    for name in earlier.replacing(mixedPrefix, with: "").split(separator: separator).map(String.init) + [current]
    where name != names.last { names.append(name) }
    return mixedPrefix + names.joined(separator: separator)
  }

  private static let mixedPrefix = "mixed: "
  private static let separator = "; then "

  /// The library that provides exp and log.
  private static var mathLibrary: String {
    #if canImport(Glibc)
      var name = [CChar](repeating: 0, count: 64)
      confstr(Int32(_CS_GNU_LIBC_VERSION), &name, name.count)
      return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    #else
      return "libm \(ProcessInfo.processInfo.operatingSystemVersionString)"
    #endif
  }

  /// The architecture and, if the mathematics library chooses by them, the vector instructions of the processor.
  private static var processor: String {
    #if arch(arm64)
      return "arm64"
    #else
      let information = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
      let flags = Set(
        information.split(separator: "\n").first { $0.hasPrefix("flags") }?.split(separator: " ") ?? [])
      let level = ["avx512f": "avx512", "avx2": "avx2", "avx": "avx"]
      let found = ["avx512f", "avx2", "avx"].first { flags.contains(Substring($0)) }
      return "x86_64 " + (found.flatMap { level[$0] } ?? "sse2")
    #endif
  }
}
