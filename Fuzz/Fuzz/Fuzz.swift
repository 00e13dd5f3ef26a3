import Foundation
import HostileInputs

/// The reader that the environment variable `BACKTRAIL_FUZZ` names.
private let chosen: HostileInput = {
  let name = ProcessInfo.processInfo.environment["BACKTRAIL_FUZZ"] ?? ""
  guard let kind = HostileInput(rawValue: name) else {
    print("BACKTRAIL_FUZZ must be one of \(HostileInput.allCases.map(\.rawValue).joined(separator: ", "))")
    exit(64)
  }
  return kind
}()

/// What libFuzzer calls with bytes it makes up (https://llvm.org/docs/LibFuzzer.html). It watches for crashes, hangs and
/// memory by itself; an error is an answer.
@_cdecl("LLVMFuzzerTestOneInput")
public func readBytes(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  try? chosen.read(Array(UnsafeBufferPointer(start: data, count: size)))
  return 0
}
