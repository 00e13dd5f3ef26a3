import Formats
import Foundation
import Replay
import Tensors

/// The process's memory as the system counts it.
public enum ResidentMemory {
  /// The largest resident size of the process so far, in bytes.
  public static var peakBytes: Int {
    #if os(Linux)
      // The figure of getrusage would include what the parent process had when it started this one.
      status("VmHWM")
    #else
      var usage = rusage()
      getrusage(RUSAGE_SELF, &usage)
      return usage.ru_maxrss
    #endif
  }

  /// The present resident size of the process in bytes; the peak so far on systems that do not report it.
  public static var currentBytes: Int {
    #if os(Linux)
      status("VmRSS")
    #else
      peakBytes
    #endif
  }

  /// The present and the peak resident size at one moment, in bytes.
  struct Sizes: Sendable {
    private(set) var current: Int
    private(set) var peak: Int
    /// The part of the present size that is pages of files, such as those of the program and its libraries; 0 on systems that do not
    /// report it. The system gets them back and reads the files again.
    let files: Int

    init() {
      #if os(Linux)
        let sizes = SystemMemory.fields(["VmRSS:", "VmHWM:", "RssFile:"], of: "/proc/self/status")
        (current, peak, files) = (sizes[0] ?? 0, sizes[1] ?? 0, sizes[2] ?? 0)
      #else
        (current, peak, files) = (currentBytes, peakBytes, 0)
      #endif
    }

    /// The sizes as if `bytes` of what is allocated now had not been.
    func without(_ bytes: Int) -> Sizes {
      var rest = self
      rest.current = max(0, current - bytes)
      return rest
    }

    /// The sizes with the peak that the process has reached by now.
    var withPresentPeak: Sizes {
      var present = self
      present.peak = peakBytes
      return present
    }
  }

  #if os(Linux)
    private static func status(_ key: String) -> Int { SystemMemory.field("\(key):", of: "/proc/self/status") ?? 0 }
  #endif
}
