import Foundation

/// A control group with a memory limit, of version 2 or 1, that a test has made. There is no swap in it.
public struct LimitedGroup: Sendable {
  public let path: String

  /// The folders in which groups are made, with the files that set the limits of memory and of swap.
  private static let parents = [
    ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
  ]

  /// Why tests that need a group are skipped.
  public static let isMissing = "this system lets nobody here make a control group with a memory limit"

  /// Whether this process may make groups.
  public static let isPossible: Bool = {
    guard let group = try? LimitedGroup(bytes: 1 << 30) else { return false }
    group.remove()
    return true
  }()

  struct Impossible: Error {}

  public init(bytes: Int) throws {
    for (parent, limit, swap) in Self.parents {
      let path = "\(parent)/backtrail-\(UUID().uuidString)"
      // Outside a file system of control groups these names would be those of ordinary files.
      guard FileManager.default.fileExists(atPath: "\(parent)/cgroup.procs"), mkdir(path, 0o755) == 0 else { continue }
      if FileManager.default.fileExists(atPath: "\(path)/\(limit)"), Self.write(bytes, to: "\(path)/\(limit)") {
        // If there is no swap, there is nothing to switch off.
        _ = Self.write(swap.contains("memsw") ? bytes : 0, to: "\(path)/\(swap)")
        self.path = path
        return
      }
      rmdir(path)
    }
    throw Impossible()
  }

  private static func write(_ number: Int, to file: String) -> Bool {
    (try? "\(number)".write(toFile: file, atomically: false, encoding: .utf8)) != nil
  }

  /// A shell's command that joins the group and then becomes the program.
  public func command(_ program: String, _ arguments: [String]) -> String {
    "echo $$ > '\(path)/cgroup.procs' && exec " + ([program] + arguments).map { "'\($0)'" }.joined(separator: " ")
  }

  /// Lets the process that calls it join the group with what it allocates from now on.
  public static func join(_ path: String) throws {
    try "\(getpid())".write(toFile: "\(path)/cgroup.procs", atomically: false, encoding: .utf8)
  }

  /// Removes the group once its processes have ended, which the system may notice a moment later.
  public func remove() {
    for _ in 0..<100 where rmdir(path) != 0 { usleep(10_000) }
  }
}
