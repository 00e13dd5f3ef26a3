#if canImport(Glibc)
import Glibc
import Tensors
import Testing

@Suite struct AllocatorTests {
  /// A library leaves it to the process where its blocks of memory come from.
  @Test func givingMemoryBackChangesNothingForLaterBlocks() throws {
    /// Whether a block below glibc's own threshold, 128 KiB, is a mapping of its own, as the word before it tells (bit 1).
    func isMapped() throws -> Bool {
      let block = try #require(malloc(100 << 10))
      defer { free(block) }
      return (block - MemoryLayout<UInt>.size).load(as: UInt.self) & 2 != 0
    }
    FloatBuffer.returnFreedMemory()
    #expect(try !isMapped())
  }
}
#endif
