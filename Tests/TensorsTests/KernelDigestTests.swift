import CKernels
import Foundation
import KernelDigests
import Tensors
import Testing

/// The digests of every kernel's results for fixed inputs, at each level of SIMD that the machine has, compared with those in
/// `Tests/Fixtures/kernel-digests.txt`; `make arm64-check` compares those of arm64 with the same file.
///
/// They change only with the revision of the kernels in the numerics fingerprint. To record them anew, put
/// `BACKTRAIL_RECORD_GOLDEN=1` in front of the test command.
@Suite struct KernelDigestTests {
  private static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/kernel-digests.txt").path

  /// A line for each digest, in order.
  private func digests(at level: SIMDLevel) -> [String] {
    #expect(ck_set_level(level.description))
    defer { ck_set_level(nil) }
    var lines: [String] = []
    withUnsafeMutablePointer(to: &lines) { lines in
      kd_digests(
        { context, name, digest in
          guard let context, let name else { return }
          let hexadecimal = String(digest, radix: 16)
          context.assumingMemoryBound(to: [String].self).pointee.append(
            String(cString: name) + " " + String(repeating: "0", count: 16 - hexadecimal.count) + hexadecimal)
        }, lines)
    }
    return lines
  }

  @Test func digestsAreAsRecordedAtEveryLevel() throws {
    let levels = SIMDLevel.available
    if ProcessInfo.processInfo.environment["BACKTRAIL_RECORD_GOLDEN"] != nil, let best = levels.first {
      try (digests(at: best).joined(separator: "\n") + "\n").write(toFile: Self.path, atomically: true, encoding: .utf8)
    }
    let recorded = try String(contentsOfFile: Self.path, encoding: .utf8).split(separator: "\n").map(String.init)
    #expect(recorded.count > 40)
    for level in levels {
      let found = digests(at: level)
      #expect(found.count == recorded.count)
      for (found, recorded) in zip(found, recorded) {
        // Without fused multiply-adds, products are others.
        let isProduct = ["multiply", "convolve", "winograd"].contains { recorded.hasPrefix($0) }
        if isProduct && level.description == "sse2" {
          #expect(found != recorded, "\(level)")
        } else {
          #expect(found == recorded, "\(level)")
        }
      }
    }
  }
}
