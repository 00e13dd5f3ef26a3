import Runs
import Testing

@Suite struct NumericsFingerprintTests {
  private let a = "float32; kernels 3; products avx512; glibc 2.36"
  private let b = "float32; kernels 3; products avx2; glibc 2.36"

  @Test func aRunThatGoesOnWithTheSameBitsKeepsItsFingerprint() {
    #expect(NumericsFingerprint.joining(a, with: a) == a)
    // The first release did not name the revision of its kernels.
    let unnamed = "float32; products avx512; glibc 2.36"
    let named = "float32; kernels 1; products avx512; glibc 2.36"
    #expect(NumericsFingerprint.joining(unnamed, with: named) == named)
  }

  @Test func mixedFingerprintsDoNotNest() {
    var fingerprint = NumericsFingerprint.joining(a, with: b)
    #expect(fingerprint == "mixed: \(a); then \(b)")
    for _ in 0..<3 { fingerprint = NumericsFingerprint.joining(fingerprint, with: b) }
    #expect(fingerprint == "mixed: \(a); then \(b)")
    fingerprint = NumericsFingerprint.joining(fingerprint, with: a)
    #expect(fingerprint == "mixed: \(a); then \(b); then \(a)")
    #expect(!NumericsFingerprint.isCurrent(NumericsFingerprint.joining(a, with: NumericsFingerprint.current())))
  }

  @Test func whatEarlierReleasesNestedIsPutRight() {
    let nested = "mixed: mixed: \(a); then \(b); then \(b)"
    #expect(NumericsFingerprint.joining(nested, with: b) == "mixed: \(a); then \(b)")
  }
}
