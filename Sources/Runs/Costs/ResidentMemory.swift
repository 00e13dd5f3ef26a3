import Formats
import Foundation
import Replay
import Tensors

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
    private(set) var current = currentBytes
    private(set) var peak = peakBytes

    /// Had something of so many bytes not been allocated.
    func without(_ bytes: Int) -> Sizes {
      var rest = self
      rest.current = max(0, current - bytes)
      return rest
    }

    /// Had what was allocated since then been freed again: the peak stays.
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
