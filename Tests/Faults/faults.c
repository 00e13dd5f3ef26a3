// Stands between a process and the C library (LD_PRELOAD): records what the process does to files below a folder, or lets one of
// these calls fail. Built and used by the tests of power cuts and faults.
//
//   FAULTS_ROOT   only files below this folder count
//   FAULTS_LOG    calls are appended to this file, as FileLog reads them
//   FAULTS_KIND   EIO, ENOSPC, SHORT, SYNC, RENAME, READ or KILL, and
//   FAULTS_CALL   which call of that kind fails, from 1; of ENOSPC all later ones fail too, as on a full disk; KILL ends the
//                 process before the call
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { most_descriptors = 1024 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *kind;
static int log_descriptor = -1;
static long failing_call, calls;
// What a descriptor is: 0 unknown, else the number of the open that made it.
static uint32_t handles[most_descriptors], next_handle = 1;
static char *names[most_descriptors];

static __attribute__((constructor)) void begin(void) {
  root = getenv("FAULTS_ROOT");
  kind = getenv("FAULTS_KIND");
  const char *call = getenv("FAULTS_CALL"), *log = getenv("FAULTS_LOG");
  failing_call = call ? atol(call) : 0;
  if (log) log_descriptor = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  // A child process is not watched.
  unsetenv("LD_PRELOAD");
}

static void put(const void *bytes, size_t count) {
  const char *at = bytes;
  while (count > 0) {
    long done = syscall(SYS_write, log_descriptor, at, count);
    if (done <= 0) return;
    at += done;
    count -= (size_t)done;
  }
}

static void record(char operation, uint32_t handle, const char *path, const char *other, int64_t offset, const void *data, uint64_t count) {
  if (log_descriptor < 0) return;
  uint32_t path_size = path ? (uint32_t)strlen(path) : 0, other_size = other ? (uint32_t)strlen(other) : 0;
  put(&operation, 1);
  put(&handle, 4);
  put(&path_size, 4);
  put(path, path_size);
  put(&other_size, 4);
  put(other, other_size);
  put(&offset, 8);
  put(&count, 8);
  if (data) put(data, count);
}

// The absolute path, its last part not followed, where it is below the root.
static int is_ours(const char *path, char out[PATH_MAX]) {
  if (!root || !path) return 0;
  if (path[0] == '/') {
    snprintf(out, PATH_MAX, "%s", path);
  } else {
    char folder[PATH_MAX];
    if (!getcwd(folder, sizeof folder)) return 0;
    if (snprintf(out, PATH_MAX, "%s/%s", folder, path) >= PATH_MAX) return 0;
  }
  size_t length = strlen(out);
  while (length > 1 && out[length - 1] == '/') out[--length] = 0;
  size_t size = strlen(root);
  return strncmp(out, root, size) == 0 && (out[size] == '/' || out[size] == 0);
}

static int is_kind(const char *name) { return kind && strcmp(kind, name) == 0; }

// Whether the call at hand is to fail, and with what.
static int fails(int is_write, int makes, int is_sync, int is_rename) {
  int counts = is_kind("EIO") || is_kind("KILL") || (is_kind("ENOSPC") && (is_write || makes)) || (is_kind("SHORT") && is_write) ||
               (is_kind("SYNC") && is_sync) || (is_kind("RENAME") && is_rename);
  if (!counts || failing_call == 0) return 0;
  calls++;
  if (is_kind("ENOSPC") ? calls < failing_call : calls != failing_call) return 0;
  if (is_kind("KILL")) raise(SIGKILL);
  return is_kind("ENOSPC") ? ENOSPC : is_kind("SHORT") ? -1 : EIO;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int opened(int descriptor, const char *path, int flags, int was_there) {
  if (descriptor >= 0 && descriptor < most_descriptors) {
    free(names[descriptor]);
    names[descriptor] = strdup(path);
    handles[descriptor] = next_handle++;
    int changes = (flags & O_TRUNC ? 2 : 0) | (was_there ? 0 : 1);
    record('o', handles[descriptor], path, NULL, changes, NULL, 0);
  }
  return descriptor;
}

static int do_open(int folder, const char *path, int flags, mode_t mode) {
  char full[PATH_MAX];
  if ((folder != AT_FDCWD && path[0] != '/') || !is_ours(path, full)) return (int)syscall(SYS_openat, folder, path, flags, mode);
  pthread_mutex_lock(&mutex);
  struct stat status;
  int was_there = lstat(full, &status) == 0;
  int failure = !was_there && flags & O_CREAT ? fails(0, 1, 0, 0) : 0;
  int descriptor = -1, code = failure;
  if (!failure || failure < 0) {
    descriptor = (int)syscall(SYS_openat, folder, path, flags, mode);
    code = errno;
    opened(descriptor, full, flags, was_there);
  }
  pthread_mutex_unlock(&mutex);
  errno = code;
  return descriptor;
}

#define OPEN_MODE(flags) \
  mode_t mode = 0; \
  if (flags & (O_CREAT | O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }

int open(const char *path, int flags, ...) { OPEN_MODE(flags) return do_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { OPEN_MODE(flags) return do_open(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { OPEN_MODE(flags) return do_open(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { OPEN_MODE(flags) return do_open(folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int descriptor) {
  if (descriptor >= 0 && descriptor < most_descriptors && handles[descriptor]) {
    pthread_mutex_lock(&mutex);
    handles[descriptor] = 0;
    pthread_mutex_unlock(&mutex);
  }
  return (int)syscall(SYS_close, descriptor);
}

static int is_watched(int descriptor) { return descriptor >= 0 && descriptor < most_descriptors && handles[descriptor]; }

static ssize_t do_write(int descriptor, const void *bytes, size_t count, off_t offset, int is_positioned) {
  if (!is_watched(descriptor)) {
    if (descriptor == 1 && log_descriptor >= 0) {
      pthread_mutex_lock(&mutex);
      record('p', 0, NULL, NULL, 0, bytes, count);
      pthread_mutex_unlock(&mutex);
    }
    return is_positioned ? syscall(SYS_pwrite64, descriptor, bytes, count, offset) : syscall(SYS_write, descriptor, bytes, count);
  }
  pthread_mutex_lock(&mutex);
  int failure = fails(1, 0, 0, 0), code = failure;
  ssize_t done = -1;
  if (failure <= 0) {
    if (failure < 0 && count > 1) count /= 2;
    if (!is_positioned) offset = syscall(SYS_lseek, descriptor, 0, SEEK_CUR);
    done = is_positioned ? syscall(SYS_pwrite64, descriptor, bytes, count, offset) : syscall(SYS_write, descriptor, bytes, count);
    code = errno;
    if (done > 0) record('w', handles[descriptor], NULL, NULL, offset, bytes, (uint64_t)done);
  }
  pthread_mutex_unlock(&mutex);
  errno = code;
  return done;
}

static ssize_t do_read(int descriptor, void *bytes, size_t count, off_t offset, int is_positioned) {
  if (is_watched(descriptor)) {
    pthread_mutex_lock(&mutex);
    record('R', handles[descriptor], names[descriptor], NULL, 0, NULL, 0);
    int failure = is_kind("READ") && failing_call && ++calls == failing_call;
    pthread_mutex_unlock(&mutex);
    if (failure) { errno = EIO; return -1; }
  }
  return is_positioned ? syscall(SYS_pread64, descriptor, bytes, count, offset) : syscall(SYS_read, descriptor, bytes, count);
}

ssize_t read(int descriptor, void *bytes, size_t count) { return do_read(descriptor, bytes, count, 0, 0); }
ssize_t pread(int descriptor, void *bytes, size_t count, off_t offset) { return do_read(descriptor, bytes, count, offset, 1); }
ssize_t pread64(int descriptor, void *bytes, size_t count, off64_t offset) { return do_read(descriptor, bytes, count, offset, 1); }

ssize_t write(int descriptor, const void *bytes, size_t count) { return do_write(descriptor, bytes, count, 0, 0); }
ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) { return do_write(descriptor, bytes, count, offset, 1); }
ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) { return do_write(descriptor, bytes, count, offset, 1); }

static int do_sync(int descriptor, long number) {
  if (!is_watched(descriptor)) return (int)syscall(number, descriptor);
  pthread_mutex_lock(&mutex);
  int failure = fails(0, 0, 1, 0);
  // The disk of a test need not spin: what is synced is what the log says.
  if (!failure) record('s', handles[descriptor], names[descriptor], NULL, 0, NULL, 0);
  pthread_mutex_unlock(&mutex);
  errno = failure;
  return failure ? -1 : 0;
}

int fsync(int descriptor) { return do_sync(descriptor, SYS_fsync); }
int fdatasync(int descriptor) { return do_sync(descriptor, SYS_fdatasync); }

static int do_truncate(int descriptor, off_t size) {
  if (!is_watched(descriptor)) return (int)syscall(SYS_ftruncate, descriptor, size);
  pthread_mutex_lock(&mutex);
  int failure = fails(0, 1, 0, 0), code = failure, result = -1;
  if (failure <= 0) {
    result = (int)syscall(SYS_ftruncate, descriptor, size);
    code = errno;
    if (result == 0) record('t', handles[descriptor], NULL, NULL, size, NULL, 0);
  }
  pthread_mutex_unlock(&mutex);
  errno = code;
  return result;
}

int ftruncate(int descriptor, off_t size) { return do_truncate(descriptor, size); }
int ftruncate64(int descriptor, off64_t size) { return do_truncate(descriptor, size); }

static int do_allocate(int descriptor, off_t offset, off_t size) {
  if (is_watched(descriptor)) {
    pthread_mutex_lock(&mutex);
    int failure = fails(0, 1, 0, 0);
    pthread_mutex_unlock(&mutex);
    if (failure > 0) return failure;
  }
  return syscall(SYS_fallocate, descriptor, 0, offset, size) == 0 ? 0 : errno;
}

int posix_fallocate(int descriptor, off_t offset, off_t size) { return do_allocate(descriptor, offset, size); }
int posix_fallocate64(int descriptor, off64_t offset, off64_t size) { return do_allocate(descriptor, offset, size); }

// A call about names: mkdir, unlink, rmdir, rename.
#define NAMED(operation, path, other, makes, is_rename, call) \
  char full[PATH_MAX], second[PATH_MAX] = ""; \
  if (!is_ours(path, full)) return call; \
  if (other) is_ours(other, second); \
  pthread_mutex_lock(&mutex); \
  int failure = fails(0, makes, 0, is_rename), code = failure, result = -1; \
  if (failure <= 0) { \
    result = call; \
    code = errno; \
    if (result == 0) record(operation, 0, full, second, 0, NULL, 0); \
  } \
  pthread_mutex_unlock(&mutex); \
  errno = code; \
  return result;

int mkdir(const char *path, mode_t mode) { NAMED('d', path, (const char *)NULL, 1, 0, (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode)) }
int unlink(const char *path) { NAMED('u', path, (const char *)NULL, 0, 0, (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0)) }
int rmdir(const char *path) { NAMED('u', path, (const char *)NULL, 0, 0, (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR)) }
int remove(const char *path) {
  struct stat status;
  return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) ? rmdir(path) : unlink(path);
}
int rename(const char *old, const char *path) { NAMED('r', old, path, 0, 1, (int)syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, path, 0)) }
