#define _GNU_SOURCE
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int make_unnamed_file(const char *folder) {
#ifdef O_TMPFILE
  int unnamed = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  // These three mean that the file system, or the kernel, knows no such files.
  if (unnamed >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return unnamed;
#endif
  char name[PATH_MAX];
  if (snprintf(name, sizeof name, "%s/.pages-XXXXXX", folder) >= (int)sizeof name) {
    errno = ENAMETOOLONG;
    return -1;
  }
  int descriptor = mkostemp(name, O_CLOEXEC);
  if (descriptor >= 0) unlink(name);
  return descriptor;
}

static int reserve(int descriptor, int64_t size) {
#if defined(__APPLE__)
  fstore_t store = {.fst_flags = F_ALLOCATEALL, .fst_posmode = F_PEOFPOSMODE, .fst_length = size};
  if (fcntl(descriptor, F_PREALLOCATE, &store) != 0) return errno;
  return ftruncate(descriptor, size) == 0 ? 0 : errno;
#else
  int code;
  do code = posix_fallocate(descriptor, 0, size);
  while (code == EINTR);
  return code;
#endif
}

int ck_make_page_file(const char *folder, int64_t size, int *is_direct) {
  int descriptor = make_unnamed_file(folder);
  if (descriptor < 0) return -errno;
  // Before O_DIRECT: where the C library reserves space by writing, it writes single bytes.
  int code = reserve(descriptor, size);
  if (code != 0) {
    close(descriptor);
    return -code;
  }
#if defined(O_DIRECT)
  int flags = fcntl(descriptor, F_GETFL);
  *is_direct = flags >= 0 && fcntl(descriptor, F_SETFL, flags | O_DIRECT) == 0;
#elif defined(F_NOCACHE)
  *is_direct = fcntl(descriptor, F_NOCACHE, 1) == 0;
#else
  *is_direct = 0;
#endif
  return descriptor;
}

int ck_use_page_cache(int descriptor) {
#if defined(O_DIRECT)
  int flags = fcntl(descriptor, F_GETFL);
  return flags >= 0 && fcntl(descriptor, F_SETFL, flags & ~O_DIRECT) == 0 ? 0 : -errno;
#else
  (void)descriptor;
  return 0;
#endif
}

int ck_drop_from_cache(int descriptor, int64_t offset, int64_t count) {
#if defined(SYNC_FILE_RANGE_WRITE)
  unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  // File systems in memory know neither call, and have nowhere else to keep the bytes.
  if (sync_file_range(descriptor, offset, count, flags) != 0 && errno != EINVAL && errno != ENOSYS && errno != ESPIPE && errno != EOPNOTSUPP) return -errno;
  posix_fadvise(descriptor, offset, count, POSIX_FADV_DONTNEED);
#else
  (void)descriptor, (void)offset, (void)count;
#endif
  return 0;
}

int ck_move_memory(void *from, void *to, size_t size) {
#if defined(MREMAP_DONTUNMAP)
  // Addresses that were given up for a moment could be taken by another thread.
  void *moved = mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);
  return moved == MAP_FAILED ? -errno : 0;
#else
  (void)from, (void)to, (void)size;
  return -ENOSYS;
#endif
}
