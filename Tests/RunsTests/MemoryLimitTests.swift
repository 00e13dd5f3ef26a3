import Foundation
import Runs
import Tensors
import TestSupport
import Testing

/// `memory-budget` auto: the smallest limit that holds for a process, found in files as the kernel's documentation describes them.
@Suite struct MemoryLimitTests {
  private let root: TemporaryFolder
  private let gibibyte = 1 << 30
  private let mebibyte = 1 << 20

  /// A machine of 16 GiB with 8 GiB available and a process with 40 MiB of its own.
  init() throws {
    root = try TemporaryFolder()
    try write("Name:\tbacktrail\nVmRSS:\t   90000 kB\nRssAnon:\t   40960 kB\nRssFile:\t   36000 kB\n", to: "proc/self/status")
    try write("MemTotal:       16777216 kB\nMemFree:  100 kB\nMemAvailable:    8388608 kB\n", to: "proc/meminfo")
  }

  private func write(_ text: String, to path: String) throws {
    let folder = URL(fileURLWithPath: root(path)).deletingLastPathComponent()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try root.write(text, to: path)
  }

  private func limit(_ environment: [String: String] = [:]) -> MemoryLimit { .ofSystem(root: root.path, environment: environment) }

  private let versionTwo = "31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

  /// Makes a group of version 2.
  private func group(_ name: String, most: Int? = nil, high: Int? = nil, current: Int, statistics: String = "anon 5\n") throws {
    let folder = "sys/fs/cgroup" + name
    try write(most.map { "\($0)\n" } ?? "max\n", to: "\(folder)/memory.max")
    try write(high.map { "\($0)\n" } ?? "max\n", to: "\(folder)/memory.high")
    try write("\(current)\n", to: "\(folder)/memory.current")
    try write(statistics, to: "\(folder)/memory.stat")
  }

  @Test func withoutGroupsItIsTheMachinesFreeMemory() {
    #expect(limit() == MemoryLimit(bytes: 8 * gibibyte + 40 * mebibyte - gibibyte, origin: .machine))
  }

  /// Both limits of every group count, less what others in the group have taken; page cache of files is nobody's.
  @Test func groupsOfVersionTwo() throws {
    try write(versionTwo + "32 24 0:28 / /proc rw - proc proc rw\n", to: "proc/self/mountinfo")
    try write("0::/jobs/7/step\n", to: "proc/self/cgroup")
    try group("/jobs/7/step", high: 800 * mebibyte, current: 60 * mebibyte)
    try group("/jobs/7", current: 60 * mebibyte)
    try group(
      "/jobs", most: gibibyte, current: 700 * mebibyte,
      statistics: """
        anon \(500 * mebibyte)
        inactive_file \(100 * mebibyte)
        active_file \(50 * mebibyte)
        file_dirty \(10 * mebibyte)
        slab_reclaimable \(10 * mebibyte)

        """)
    // Without cache and what file systems keep, 540 MiB are taken in /jobs, 40 of them by this process.
    let jobs = MemoryLimit.Origin.group(path: root("sys/fs/cgroup/jobs"), file: "memory.max")
    #expect(limit() == MemoryLimit(bytes: 524 * mebibyte, origin: jobs))
    #expect(MemoryGroup.ofThisProcess(root: root.path).map(\.path) == ["/jobs/7/step", "/jobs/7", "/jobs"].map { root("sys/fs/cgroup" + $0) })
    try group("/jobs", most: 4 * gibibyte, current: 700 * mebibyte)
    let step = MemoryLimit.Origin.group(path: root("sys/fs/cgroup/jobs/7/step"), file: "memory.high")
    #expect(limit() == MemoryLimit(bytes: 780 * mebibyte, origin: step))
    // Where others have taken everything, there is a byte.
    try group("/jobs/7", most: 50 * mebibyte, current: 500 * mebibyte)
    #expect(limit().bytes == 1)
  }

  /// With version 1 the memory controller has a hierarchy of its own, and a container may see its own group where the
  /// hierarchy is mounted, though its name is that outside.
  @Test(arguments: [
    ("/docker/abc", "/docker/abc", ""), ("/", "/docker/abc", "/docker/abc"), ("/docker/abc", "/docker/abc/inner", "/inner"),
    ("/elsewhere", "/docker/abc", ""),
  ])
  func groupsOfVersionOne(top: String, group: String, folder: String) throws {
    try write(
      """
      40 24 0:35 \(top) /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
      41 24 0:36 \(top) /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
      42 24 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw

      """, to: "proc/self/mountinfo")
    try write("12:cpu,cpuacct:\(group)\n4:hugetlb,memory:\(group)\n0::/\n", to: "proc/self/cgroup")
    try write("9223372036854771712\n", to: "sys/fs/cgroup/memory/memory.limit_in_bytes")
    try write("1\n", to: "sys/fs/cgroup/memory/memory.usage_in_bytes")
    let files = "sys/fs/cgroup/memory\(folder)"
    try write("\(600 * mebibyte)\n", to: "\(files)/memory.limit_in_bytes")
    try write("\(250 * mebibyte)\n", to: "\(files)/memory.usage_in_bytes")
    try write("inactive_file 1\ntotal_inactive_file \(90 * mebibyte)\ntotal_active_file \(10 * mebibyte)\n", to: "\(files)/memory.stat")
    let origin = MemoryLimit.Origin.group(path: root(files), file: "memory.limit_in_bytes")
    #expect(limit() == MemoryLimit(bytes: (600 - 110) * mebibyte, origin: origin))
  }

  /// The limits of all ancestors hold, whichever is the lowest.
  @Test func theLowestOfRandomGroupsCounts() throws {
    try write(versionTwo.replacing("/sys/fs/cgroup", with: #"/sys/fs/c\040group"#), to: "proc/self/mountinfo")
    var random = SplitMix(state: 11)
    for depth in 1...12 {
      let names = (0..<depth).map { "\(depth)-\($0)" }
      var expected = 7 * gibibyte + 40 * mebibyte
      for length in 0...depth {
        let (limit, others) = (Int.random(in: 1...9000, using: &random), Int.random(in: 0...500, using: &random))
        let isLimited = length > 0 && Bool.random(using: &random)
        if isLimited { expected = min(expected, max(1, (limit - others) * mebibyte)) }
        let folder = (["sys/fs/c group"] + names.prefix(length)).joined(separator: "/")
        try write(isLimited ? "\(limit * mebibyte)\n" : "max\n", to: "\(folder)/memory.max")
        try write("\((40 + others) * mebibyte)\n", to: "\(folder)/memory.current")
      }
      try write("0::/" + names.joined(separator: "/"), to: "proc/self/cgroup")
      #expect(limit().bytes == expected, "depth \(depth)")
    }
  }

  @Test func slurmGivesMemoryForANodeOrForEachProcessor() {
    #expect(limit(["SLURM_MEM_PER_NODE": "512"]) == MemoryLimit(bytes: 512 * mebibyte, origin: .slurm(variable: "SLURM_MEM_PER_NODE")))
    let each = MemoryLimit.Origin.slurm(variable: "SLURM_MEM_PER_CPU")
    #expect(limit(["SLURM_MEM_PER_CPU": "300", "SLURM_CPUS_ON_NODE": "4"]) == MemoryLimit(bytes: 1200 * mebibyte, origin: each))
    #expect(limit(["SLURM_MEM_PER_CPU": "300"]) == MemoryLimit(bytes: 300 * mebibyte, origin: each))
    // 0 stands for all of the node's memory, and what is no number for nothing.
    for text in ["0", "-1", "x", "", "9223372036854775807"] {
      #expect(limit(["SLURM_MEM_PER_NODE": text, "SLURM_MEM_PER_CPU": text]).origin == .machine, "\(text)")
    }
  }

  /// Damaged files of the system are no limits.
  @Test(arguments: ["", "\n\n", "31 24 - cgroup2", "31 24 0:27 / /sys/fs/cgroup rw - cgroup2", "- - - - - - - - - -"])
  func whatCannotBeReadIsNoLimit(mounts: String) throws {
    try write(mounts, to: "proc/self/mountinfo")
    for groups in ["0::/", "0", "::", "0::/a/../../b", ""] {
      try write(groups, to: "proc/self/cgroup")
      #expect(limit().origin == .machine)
    }
  }
}
