import CKernels
import Tensors
import Testing

/// Runs `body` at every level of SIMD that this machine has, for the kernels that it calls on its thread.
func atEveryLevel(_ body: (SIMDLevel) throws -> Void) rethrows {
  for level in SIMDLevel.available {
    #expect(ck_set_level(level.description))
    defer { ck_set_level(nil) }
    try body(level)
  }
}
