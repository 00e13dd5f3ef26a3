#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/// What is used of OpenBLAS, with the integers of 32 bits that a library of this name has.
typedef struct {
  /// `cblas_sgemm`: c ← alpha · op(a) · op(b) + beta · c.
  void (*multiply)(
      int order, int a_transposition, int b_transposition, int m, int n, int k, float alpha, const float *a, int a_stride,
      const float *b, int b_stride, float beta, float *c, int c_stride);
  char *(*get_config)(void);
  char *(*get_corename)(void);
  void (*set_num_threads)(int);
  /// 0 for a library without threads, 1 for one with those of the system, 2 for OpenMP.
  int (*get_parallel)(void);
} openblas_functions;

/// The values of CBLAS's enumerations.
enum { OPENBLAS_ROW_MAJOR = 101, OPENBLAS_NOT_TRANSPOSED = 111, OPENBLAS_TRANSPOSED = 112 };

/// Loads the library when it is first needed: who does not use it pays nothing for it.
///
/// Loaded otherwise, it would start a thread for each processor. The environment variable that keeps it from that is set meanwhile.
/// Returns null, or in words why the library can't be used.
static inline const char *openblas_load(openblas_functions *functions) {
#ifdef __APPLE__
  const char *name = "libopenblas.0.dylib";
#else
  const char *name = "libopenblas.so.0";
#endif
  const char *variable = "OPENBLAS_NUM_THREADS";
  const char *present = getenv(variable);
  char *earlier = present ? strdup(present) : NULL;
  setenv(variable, "1", 1);
  void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (earlier) setenv(variable, earlier, 1);
  else unsetenv(variable);
  free(earlier);
  if (!library) return dlerror();
  *(void **)&functions->multiply = dlsym(library, "cblas_sgemm");
  *(void **)&functions->get_config = dlsym(library, "openblas_get_config");
  *(void **)&functions->get_corename = dlsym(library, "openblas_get_corename");
  *(void **)&functions->set_num_threads = dlsym(library, "openblas_set_num_threads");
  *(void **)&functions->get_parallel = dlsym(library, "openblas_get_parallel");
  if (!functions->multiply || !functions->get_config || !functions->get_corename || !functions->set_num_threads ||
      !functions->get_parallel)
    return "it lacks functions of OpenBLAS";
  functions->set_num_threads(1);
  return NULL;
}
