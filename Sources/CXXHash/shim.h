#include <xxhash.h>

/// `XXH3_128bits_update` with the widest SIMD of the processor: 80 GB/s against 20 on AVX-512. xxHash installs the header
/// where its library was built with the choice; elsewhere the library's only version is taken. All give the same hash.
#if (defined(__x86_64__) || defined(__i386__)) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>

static inline XXH_errorcode xxh3_update(XXH3_state_t *state, const void *input, size_t size) {
  return XXH3_128bits_update_dispatch(state, input, size);
}
#else
static inline XXH_errorcode xxh3_update(XXH3_state_t *state, const void *input, size_t size) {
  return XXH3_128bits_update(state, input, size);
}
#endif
