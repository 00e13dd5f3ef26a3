import Runs
import Testing

@Suite struct NumericsFingerprintTests {
  private let a = "float32; kernels 5; products fused"
  private let b = "float32; kernels 5; products rounded"

  /// Neither the C library nor the processor decides a bit, so that a fingerprint has no words for them.
  @Test func itNamesOnlyWhatDecidesBits() {
    #expect([a, b].contains(NumericsFingerprint.current()))
  }

  /// A library that computes products is named behind the kernels.
  @Test func itNamesWhatAProblemSays() {
    #expect(NumericsFingerprint.current(numerics: "OpenBLAS 1 Core") == "\(NumericsFingerprint.current()); OpenBLAS 1 Core")
  }

  @Test func aRunThatGoesOnWithTheSameBitsKeepsItsFingerprint() {
    #expect(NumericsFingerprint.joining(a, with: a) == a)
  }

  @Test(arguments: [
    "float32; products avx512; glibc 2.36; x86_64 avx512", "float32; kernels 3; products avx2; glibc 2.36; x86_64 avx2",
  ])
  func runsOfEarlierKernelsGoOnAsMixed(earlier: String) {
    #expect(NumericsFingerprint.joining(earlier, with: a) == "mixed: \(earlier); then \(a)")
  }

  @Test func mixedFingerprintsDoNotNest() {
    var fingerprint = NumericsFingerprint.joining(a, with: b)
    #expect(fingerprint == "mixed: \(a); then \(b)")
    for _ in 0..<3 { fingerprint = NumericsFingerprint.joining(fingerprint, with: b) }
    #expect(fingerprint == "mixed: \(a); then \(b)")
    fingerprint = NumericsFingerprint.joining(fingerprint, with: a)
    #expect(fingerprint == "mixed: \(a); then \(b); then \(a)")
  }

  @Test func whatEarlierReleasesNestedIsPutRight() {
    let nested = "mixed: mixed: \(a); then \(b); then \(b)"
    #expect(NumericsFingerprint.joining(nested, with: b) == "mixed: \(a); then \(b)")
  }
}
