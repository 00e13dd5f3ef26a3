import Foundation
import Runs
import Tensors

/// Takes the level of SIMD that the environment variable `BACKTRAIL_SIMD` names, for the whole process.
/// - Throws: `RunError.usage` where this machine lacks it.
func chooseSIMDLevel() throws {
  guard let name = ProcessInfo.processInfo.environment["BACKTRAIL_SIMD"], !name.isEmpty, !SIMDLevel.use(name) else { return }
  let available = SIMDLevel.available.map(\.description).joined(separator: ", ")
  throw RunError.usage("BACKTRAIL_SIMD is '\(name)', but this machine's levels of SIMD are \(available); name one of them, or none")
}
