import Formats
import Foundation
import Tensors

/// A memory budget as a user gives it.
public enum MemoryBudget: Hashable, Sendable {
  /// So many bytes.
  case bytes(Int)
  /// As much as the system lets this process have, which is found out when a run is specified or opened.
  case automatic

  public static func kibibytes(_ count: Int) -> MemoryBudget { .bytes(count << 10) }
  public static func mebibytes(_ count: Int) -> MemoryBudget { .bytes(count << 20) }
  public static func gibibytes(_ count: Int) -> MemoryBudget { .bytes(count << 30) }

  /// Reads `auto` or a size such as `500MiB`; nil for anything else, and for no bytes.
  public init?(_ text: String) {
    if text == Self.automaticWord {
      self = .automatic
    } else {
      guard let bytes = ByteCount(text)?.bytes, bytes > 0 else { return nil }
      self = .bytes(bytes)
    }
  }

  private static let automaticWord = "auto"

  /// The limit that the budget stands for on this machine and at this moment.
  public var limit: MemoryLimit {
    switch self {
    case .bytes(let bytes): MemoryLimit(bytes: bytes, origin: .given)
    case .automatic: .ofSystem()
    }
  }
}

extension MemoryBudget: CustomStringConvertible {
  /// The budget in the form that `init(_:)` reads, without loss.
  public var description: String {
    switch self {
    case .bytes(let bytes): ByteCount.bytes(bytes).description
    case .automatic: Self.automaticWord
    }
  }
}

/// A budget of a number of bytes is stored as the number.
extension MemoryBudget: Codable {
  public init(from decoder: any Decoder) throws {
    let stored = try decoder.singleValueContainer()
    if let text = try? stored.decode(String.self), text == Self.automaticWord {
      self = .automatic
    } else {
      let bytes = try stored.decode(Int.self)
      guard bytes > 0 else { throw RunError.usage("`memory-budget` is \(bytes), but must be a positive number of bytes") }
      self = .bytes(bytes)
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var stored = encoder.singleValueContainer()
    switch self {
    case .bytes(let bytes): try stored.encode(bytes)
    case .automatic: try stored.encode(Self.automaticWord)
    }
  }
}

/// A number of bytes that a process may take, and what it was taken from.
public struct MemoryLimit: Hashable, Sendable {
  public enum Origin: Hashable, Sendable {
    /// A user gave the number.
    case given
    /// The limit in a file of a control group, less what other processes of the group have taken.
    case group(path: String, file: String)
    /// What Slurm has granted, as environment variables say.
    case slurm(variable: String)
    /// The memory that is free on the machine, less a reserve.
    case machine
  }

  public let bytes: Int
  public let origin: Origin

  public init(bytes: Int, origin: Origin = .given) {
    self.bytes = bytes
    self.origin = origin
  }

  /// The part of a budget, in bytes, that is left free for errors of the estimate, of the largest size seen in measurements.
  static func margin(_ budget: Int) -> Int { budget / 100 + (4 << 20) }

  /// The least budget in bytes with room for so many. The size of the process differs by a MiB or two from one start to the next.
  static func least(for bytes: Int) -> Int { bytes + margin(bytes * 102 / 100) + (3 << 20) }

  /// The smallest of the limits that hold for this process: those of its control groups, Slurm's, and the machine's free memory.
  /// - Parameters:
  ///   - root: The folder in which `/proc` and the control groups' file systems are looked for, for tests.
  ///   - environment: The environment in which Slurm's variables are looked for.
  public static func ofSystem(
    root: String = "", environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> MemoryLimit {
    let all = ofGroups(root: root) + ofSlurm(environment) + [ofMachine(root: root)]
    let least = all.min { $0.bytes < $1.bytes } ?? ofMachine(root: root)
    // Where other processes have taken everything, the run is refused with what it needs.
    return MemoryLimit(bytes: max(1, least.bytes), origin: least.origin)
  }

  /// This limit, or a lower one of a control group: what the kernel ends the process for can't be a budget.
  var withinGroups: MemoryLimit {
    MemoryGroup.ofThisProcess().compactMap { group in
      group.limit.map { MemoryLimit(bytes: $0.bytes, origin: .group(path: group.path, file: $0.file)) }
    }.reduce(self) { $1.bytes < $0.bytes ? $1 : $0 }
  }

  private static func ofGroups(root: String) -> [MemoryLimit] {
    let own = anonymousBytes(root: root)
    return MemoryGroup.ofThisProcess(root: root).compactMap { group in
      guard let limit = group.limit else { return nil }
      let others = max(0, (group.accountBytes ?? own) - own)
      return MemoryLimit(bytes: limit.bytes - others, origin: .group(path: group.path, file: limit.file))
    }
  }

  /// Slurm gives memory in MiB, for a node or for each of its processors, and 0 for all there is
  /// (https://slurm.schedmd.com/sbatch.html, "Output environment variables").
  private static func ofSlurm(_ environment: [String: String]) -> [MemoryLimit] {
    func number(_ name: String) -> Int? { environment[name].flatMap { Int($0) }.flatMap { $0 > 0 && $0 < 1 << 40 ? $0 : nil } }
    var limits: [MemoryLimit] = []
    if let node = number("SLURM_MEM_PER_NODE") {
      limits.append(MemoryLimit(bytes: node << 20, origin: .slurm(variable: "SLURM_MEM_PER_NODE")))
    }
    if let each = number("SLURM_MEM_PER_CPU") {
      let processors = min(number("SLURM_CPUS_ON_NODE") ?? 1, 1 << 20)
      let (total, overflow) = each.multipliedReportingOverflow(by: processors << 20)
      if !overflow { limits.append(MemoryLimit(bytes: total, origin: .slurm(variable: "SLURM_MEM_PER_CPU"))) }
    }
    return limits
  }

  /// The free memory with what this process has taken already, less one part in sixteen of the machine's for everything else on
  /// it.
  private static func ofMachine(root: String) -> MemoryLimit {
    let all = Int(clamping: ProcessInfo.processInfo.physicalMemory)
    #if os(Linux)
      let total = SystemMemory.field("MemTotal:", of: "\(root)/proc/meminfo") ?? all
      let free = SystemMemory.field("MemAvailable:", of: "\(root)/proc/meminfo") ?? total
    #else
      let (total, free) = (all, all)
    #endif
    return MemoryLimit(bytes: min(total, free + anonymousBytes(root: root)) - total / 16, origin: .machine)
  }

  /// The memory of this process that is not a copy of files, in bytes. The pages of its program may be charged to whoever
  /// used it first.
  private static func anonymousBytes(root: String) -> Int {
    #if os(Linux)
      SystemMemory.field("RssAnon:", of: "\(root)/proc/self/status") ?? 0
    #else
      0
    #endif
  }
}

extension MemoryLimit.Origin: CustomStringConvertible {
  /// What the limit was taken from, in words that follow a size.
  public var description: String {
    switch self {
    case .given: "as given"
    case .group(let path, let file): "from \(file) of the control group \(path)"
    case .slurm(let variable) where variable == "SLURM_MEM_PER_CPU": "from SLURM_MEM_PER_CPU times SLURM_CPUS_ON_NODE"
    case .slurm(let variable): "from \(variable)"
    case .machine: "from the machine's free memory, less a reserve"
    }
  }
}
