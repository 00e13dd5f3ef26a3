#include "levels.h"

#include <string.h>

#include "dispatch.h"

#if defined(__x86_64__)
static const char *const names[] = {"avx512", "avx2", "sse2"};
#else
static const char *const names[] = {"neon"};
#endif

enum { COUNT = sizeof names / sizeof *names };

/// Of this thread; −1 for that of the process.
static _Thread_local int thread_level = -1;

/// −1 until it is asked for.
static _Atomic int process_level = -1;

const char *ck_level_name(int index) { return index >= 0 && index < COUNT ? names[index] : NULL; }

bool ck_has_level(int index) {
#if defined(__x86_64__)
  if (index == 0) return __builtin_cpu_supports("x86-64-v4");
  if (index == 1) return __builtin_cpu_supports("x86-64-v3");
#endif
  return index >= 0 && index < COUNT;
}

int ck_level(void) {
  if (thread_level >= 0) return thread_level;
  int level = process_level;
  if (level < 0) {
    level = 0;
    while (!ck_has_level(level)) level++;
    // Unless one has been chosen meanwhile.
    int unknown = -1;
    if (!__c11_atomic_compare_exchange_strong(&process_level, &unknown, level, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) level = unknown;
  }
  return level;
}

bool ck_is_fused(void) { return strcmp(names[ck_level()], "sse2") != 0; }

/// −1 where this machine lacks the level.
static int index_of(const char *name) {
  for (int index = 0; index < COUNT; index++)
    if (strcmp(name, names[index]) == 0 && ck_has_level(index)) return index;
  return -1;
}

bool ck_set_process_level(const char *name) {
  const int index = index_of(name);
  if (index >= 0) process_level = index;
  return index >= 0;
}

bool ck_set_level(const char *name) {
  thread_level = name ? index_of(name) : -1;
  return !name || thread_level >= 0;
}
