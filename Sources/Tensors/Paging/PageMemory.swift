import CKernels
import Foundation

/// The addresses of a buffer whose floats wait in a file: all of them are reserved, and only pages in use have memory.
///
/// The others can't be read or written. Whoever touches floats that nobody holds is stopped there, and computes nothing from zeros.
///
/// It is Sendable although it holds a pointer: it changes only which pages have memory. `PageTable` says who may touch the content
/// of a page at a time, one of the pager's two threads or those who hold it.
struct PageMemory: ~Copyable, @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int

  /// Nil where the process may not have so many addresses.
  init?(byteCount: Int) {
    guard let base = mmap(nil, byteCount, PROT_NONE, Self.flags, -1, 0), base != MAP_FAILED else { return nil }
    self.base = base
    self.byteCount = byteCount
  }

  deinit { munmap(base, byteCount) }

  #if os(Linux)
    private static let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
  #else
    private static let flags = MAP_PRIVATE | MAP_ANON | MAP_NORESERVE
  #endif

  subscript(bytes: Range<Int>) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base + bytes.lowerBound, count: bytes.count)
  }

  /// Lets the bytes be used. Those that have no memory yet are zeros.
  /// - Returns: 0, or the system's error.
  func open(_ bytes: Range<Int>) -> Int32 {
    mprotect(base + bytes.lowerBound, bytes.count, PROT_READ | PROT_WRITE) == 0 ? 0 : errno
  }

  /// Lets the bytes not be used any more. They keep their memory.
  /// - Returns: 0, or the system's error.
  func hide(_ bytes: Range<Int>) -> Int32 {
    mprotect(base + bytes.lowerBound, bytes.count, PROT_NONE) == 0 ? 0 : errno
  }

  /// Gives the memory of hidden bytes to as many others that have none, which takes a third of the time that the system takes for
  /// memory of its own. Where it can't be moved, the system has it back, and the others get theirs when they are used.
  /// - Returns: 0, or the system's error.
  func move(_ bytes: Range<Int>, to place: Int) -> Int32 {
    // A page at a time, since the system moves only what has come as a whole.
    for offset in stride(from: 0, to: bytes.count, by: Pager.pageBytes) {
      guard ck_move_memory(base + bytes.lowerBound + offset, base + place + offset, Pager.pageBytes) == 0 else { break }
    }
    // So that its addresses are like all others without memory.
    return close(bytes)
  }

  /// Gives the memory of the bytes back to the system.
  /// - Returns: 0, or the system's error.
  func close(_ bytes: Range<Int>) -> Int32 {
    mmap(base + bytes.lowerBound, bytes.count, PROT_NONE, Self.flags | MAP_FIXED, -1, 0) == MAP_FAILED ? errno : 0
  }
}
