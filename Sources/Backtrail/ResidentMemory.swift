import Foundation

/// The process's memory as the system counts it.
public enum ResidentMemory {
  /// The largest resident size of the process so far, in bytes.
  public static var peakBytes: Int {
    #if os(Linux)
      // getrusage's figure would include what the parent process had when it started this one.
      let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
      let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
      return (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
    #else
      var usage = rusage()
      getrusage(RUSAGE_SELF, &usage)
      return usage.ru_maxrss
    #endif
  }
}
