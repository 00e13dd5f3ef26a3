import CKernels
import Foundation

/// The memory that is there to be taken. Whatever is about to allocate asks here first, since the system grants more than it has,
/// and ends the process later.
public enum SystemMemory {
  /// Bytes that the process could take now: what the system could give without taking any from other processes, the
  /// room left in its control group, and that below its limit of address space (`ulimit -v`). Nil where nothing tells.
  public static var availableBytes: Int? {
    #if os(Linux)
      [systemBytes, groupBytes, addressSpaceBytes].compactMap(\.self).min()
    #else
      nil
    #endif
  }

  /// Whether the process could take so many more bytes. Small amounts are granted without a look, which would take longer than they
  /// do.
  public static func has(_ bytes: Int) -> Bool {
    guard bytes >= 32 << 20, let available = availableBytes else { return true }
    return bytes <= available
  }

  /// How much is free, for messages: `, and 512 MiB are free`; empty where nothing tells.
  public static var note: String { availableBytes.map { ", and \(max(0, $0) >> 20) MiB are free" } ?? "" }

  /// From now on every large block of memory goes back to the system as soon as it is freed. It is the process's own decision, for
  /// its beginning; nothing in the library takes it.
  ///
  /// Otherwise glibc makes large blocks parts of a thread's heap once the first of them has been freed, and a heap that ends in
  /// something small and lasting does not shrink. What codecs take would leave holes there, each a little too small for the next:
  /// the heap would grow with every checkpoint, and a memory budget could not be kept.
  public static func mapLargeBlocks() { ck_map_large_blocks() }

  #if os(Linux)
    private static var systemBytes: Int? { field("MemAvailable:", of: "/proc/meminfo") }

    private static var addressSpaceBytes: Int? {
      var limit = rlimit()
      guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0,
        let most = Int(exactly: limit.rlim_cur), let used = field("VmSize:", of: "/proc/self/status")
      else { return nil }
      return max(0, most - used)
    }

    /// What is left below the lowest of the limits of the process's control groups, in bytes. Page cache that a group is charged for
    /// is given back when memory is asked for.
    private static var groupBytes: Int? {
      MemoryGroup.ofThisProcess().compactMap { group in
        guard let limit = group.limit, let account = group.accountBytes else { return nil }
        return max(0, limit.bytes - account)
      }.min()
    }

    /// The number in a line of a file, such as `/proc/meminfo`, that counts in KiB; returned in bytes.
    package static func field(_ name: String, of path: String) -> Int? { fields([name], of: path)[0] }

    /// The numbers in several lines of such a file, which is read once; nil for a line that is not there.
    package static func fields(_ names: [String], of path: String) -> [Int?] {
      let lines = lines(path)
      return names.map { name in
        let words = lines.first { $0.hasPrefix(name) }?.split(maxSplits: 2, whereSeparator: \.isWhitespace)
        return words?.dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
      }
    }

  #endif

  /// The lines of a file of the system; none if it can't be read.
  static func lines(_ path: String) -> [Substring] {
    ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n")
  }
}
