#if canImport(Glibc)
import Glibc
import Tensors
import Testing

@Suite struct AllocatorTests {
  /// A library must not change how the process allocates memory.
  @Test func givingMemoryBackChangesNothingForLaterBlocks() throws {
    /// Whether a block below glibc's own threshold of 128 KiB is a mapping of its own, which bit 1 of the word before
    /// it shows.
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
