#define NAME "least"
#define NAMED(function) kl_least_##function
#define CK_DISPATCHED
#include "level.h"
