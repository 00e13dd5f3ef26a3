#if defined(__x86_64__)
#define NAME "avx2"
#define NAMED(function) kl_avx2_##function
#define CK_DISPATCHED __attribute__((target("arch=x86-64-v3")))
#include "level.h"
#endif
