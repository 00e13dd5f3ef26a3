import Foundation

/// The process's memory as the system counts it.
public enum ResidentMemory {
  /// The largest resident size of the process so far, in bytes.
  public static var peakBytes: Int {
    #if os(Linux)
      // getrusage's figure would include what the parent process had when it started this one.
      status("VmHWM")
    #else
      var usage = rusage()
      getrusage(RUSAGE_SELF, &usage)
      return usage.ru_maxrss
    #endif
  }

  /// The resident size of the process now, in bytes; where the system does not tell, the largest so far.
  public static var currentBytes: Int {
    #if os(Linux)
      status("VmRSS")
    #else
      peakBytes
    #endif
  }

  /// Both at one time.
  struct Sizes: Sendable {
    let current = currentBytes
    let peak = peakBytes
  }

  #if os(Linux)
    /// A line of the process's status, given there in KiB.
    private static func status(_ key: String) -> Int {
      let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
      let line = status.split(separator: "\n").first { $0.hasPrefix(key + ":") }
      return (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
    }
  #endif
}
