import Foundation

/// A control group of Linux that this process belongs to, with its memory limit and what is charged to it.
///
/// What a group is charged for is more than its processes have resident: page cache that they were the first to read or
/// write, stacks and page tables in the kernel, and what file systems keep. The kernel takes page cache back before it ends a
/// process, and waits for what must be written first, so what counts is the account: the charge without page cache.
///
/// The names of files are those of the kernel's documentation: "Control Group v2", and "Memory Resource Controller" for
/// version 1.
public struct MemoryGroup: Hashable, Sendable {
  public enum Version: Hashable, Sendable {
    case one
    case two
  }

  /// The group's folder.
  public let path: String
  public let version: Version

  /// A limit of a group, and the file that sets it.
  public struct Limit: Hashable, Sendable {
    public let bytes: Int
    /// The name of the file, such as `memory.max`.
    public let file: String
  }

  /// The lowest limit of this group alone, in bytes; nil if it has none.
  public var limit: Limit? {
    let files = version == .two ? ["memory.max", "memory.high"] : ["memory.limit_in_bytes"]
    return files.compactMap { file in
      // A limit of `max`, or the largest whole number of pages, is none.
      Self.number("\(path)/\(file)").flatMap { $0 < Self.unlimited ? Limit(bytes: $0, file: file) : nil }
    }.min { $0.bytes < $1.bytes }
  }

  /// What is charged to the group and the groups in it, in bytes, with all page cache; nil if nothing tells.
  public var chargedBytes: Int? {
    Self.number(version == .two ? "\(path)/memory.current" : "\(path)/memory.usage_in_bytes")
  }

  /// What is charged to the group and the groups in it, in bytes, without page cache of files on disks; nil if nothing tells.
  public var accountBytes: Int? {
    guard let charged = chargedBytes else { return nil }
    let figures = statistics
    // With version 1 the names without a prefix are those of figures without the groups in the group. The files of a file system
    // in memory are in neither list, since they can't be taken back.
    let names = version == .two ? ["inactive_file", "active_file", "slab_reclaimable"] : ["total_inactive_file", "total_active_file"]
    return max(0, charged - names.reduce(0) { $0 + (figures[$1] ?? 0) })
  }

  /// The figures of `memory.stat` in bytes, by name.
  public var statistics: [String: Int] {
    Dictionary(
      SystemMemory.lines("\(path)/memory.stat").compactMap { line in
        let parts = line.split(separator: " ")
        return parts.count == 2 ? Int(parts[1]).map { (String(parts[0]), $0) } : nil
      }, uniquingKeysWith: { first, _ in first })
  }

  /// Larger numbers are no limits, but the largest that the kernel's counter holds.
  private static let unlimited = 1 << 60

  private static func number(_ path: String) -> Int? { SystemMemory.lines(path).first.flatMap { Int($0) } }
}

extension MemoryGroup {
  /// The groups whose memory this process is charged to, from its own to the outermost that is visible; empty on systems
  /// without control groups, and where they do not count memory.
  /// - Parameter root: The folder in which `/proc` and the groups' file systems are looked for, for tests.
  public static func ofThisProcess(root: String = "") -> [MemoryGroup] {
    #if os(Linux)
      mounts(root: root).flatMap { mount in
        var groups: [MemoryGroup] = []
        var names = mount.path(of: mount.group).split(separator: "/")
        while true {
          let path = root + ([Substring(mount.point)] + names).joined(separator: "/")
          groups.append(MemoryGroup(path: path, version: mount.version))
          guard !names.isEmpty else { return groups.filter { $0.chargedBytes != nil || $0.limit != nil } }
          names.removeLast()
        }
      }
    #else
      []
    #endif
  }

  /// A file system of control groups that may count memory, and the process's group in it.
  private struct Mount {
    let point: String
    /// The group that is seen at `point`: in a container it may be the container's own.
    let top: String
    let version: Version
    let group: String

    /// The path of a group below `point`. A group outside of what is mounted is seen as the mount's own.
    func path(of group: String) -> String {
      guard top != "/" else { return group.contains("/..") ? "" : group }
      return group == top || group.hasPrefix(top + "/") ? String(group.dropFirst(top.count)) : ""
    }
  }

  private static func mounts(root: String) -> [Mount] {
    // Lines of /proc/self/cgroup are `number:controllers:group`; version 2 has the number 0 and no controllers.
    var groups: [Version: String] = [:]
    for line in SystemMemory.lines("\(root)/proc/self/cgroup") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      if parts[0] == "0" && parts[1].isEmpty {
        groups[.two] = String(parts[2])
      } else if parts[1].split(separator: ",").contains("memory") {
        groups[.one] = String(parts[2])
      }
    }
    // Lines of /proc/self/mountinfo: number, parent, device, top, point, options, optional fields, a dash, type, source and the
    // file system's own options.
    return SystemMemory.lines("\(root)/proc/self/mountinfo").compactMap { line in
      let fields = line.split(separator: " ").map(String.init)
      guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 3 else { return nil }
      let version: Version? =
        switch fields[dash + 1] {
        case "cgroup2": .two
        case "cgroup" where fields[dash + 3].split(separator: ",").contains("memory"): .one
        default: nil
        }
      guard let version, let group = groups[version] else { return nil }
      return Mount(point: unescaped(fields[4]), top: unescaped(fields[3]), version: version, group: group)
    }
  }

  /// A path of mountinfo, in which white space and backslashes are written as three octal digits.
  private static func unescaped(_ path: String) -> String {
    path.replacing(/\\([0-7]{3})/) { match in
      UInt8(match.1, radix: 8).map { String(UnicodeScalar($0)) } ?? String(match.0)
    }
  }
}
