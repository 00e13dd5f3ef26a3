#if defined(__x86_64__)
#define NAME "avx512"
#define NAMED(function) kl_avx512_##function
#define CK_DISPATCHED __attribute__((target("arch=x86-64-v4")))
#include "level.h"
#endif
