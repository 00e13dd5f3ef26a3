// Inputs are made of integers, so that nothing but kernels can differ. All NaN count as one: which of them an operation gives is the
// processor's choice.

#include "kernel_digests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

static _Thread_local uint64_t state;

/// SplitMix64 (Steele, Lea and Flood 2014).
static uint64_t next(void) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

/// What a line's inputs and results are in.
static _Thread_local void *reserved[4096];
static _Thread_local int reservations;

/// Zeros, until the line ends.
static void *reserve(size_t size) {
  void *memory = calloc(size + 128, 1);
  if (!memory || reservations == sizeof reserved / sizeof *reserved) abort();
  return reserved[reservations++] = memory;
}

/// Numbers from −4 to 4, a sixteenth of them 0, and of very different sizes.
static float *floats(size_t count) {
  float *x = reserve(count * sizeof(float));
  for (size_t i = 0; i < count; i++) {
    const uint64_t word = next();
    x[i] = word % 16 == 0 ? 0 : (float)((int32_t)(word >> 40) - (1 << 23)) * 0x1p-21f;
    if (word % 16 == 1) x[i] *= 0x1p-12f;
  }
  return x;
}

static float *positive(size_t count) {
  float *x = floats(count);
  for (size_t i = 0; i < count; i++) x[i] = fabsf(x[i]);
  return x;
}

static uint8_t *bytes(size_t count) {
  uint8_t *x = reserve(count);
  for (size_t i = 0; i < count; i++) x[i] = (uint8_t)(next() >> 56);
  return x;
}

/// FNV-1a (Fowler, Noll and Vo 1991), a word at a time.
static _Thread_local uint64_t digest;

static void add(uint64_t word) { digest = (digest ^ word) * 0x100000001b3; }

static void add_floats(const float *x, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, 4);
    add(x[i] != x[i] ? 0x7fc00000 : bits);
  }
}

static void add_double(double x) {
  uint64_t bits;
  memcpy(&bits, &x, 8);
  add(x != x ? 0x7ff8000000000000 : bits);
}

static void add_bytes(const void *memory, size_t count) {
  for (size_t i = 0; i < count; i++) add(((const uint8_t *)memory)[i]);
}

/// Begins what a line is about.
static void begin(uint64_t seed) {
  state = seed;
  digest = 0xcbf29ce484222325;
}

static _Thread_local kd_line line;
static _Thread_local void *line_context;

static void end(const char *name) {
  line(line_context, name, digest);
  while (reservations > 0) free(reserved[--reservations]);
}

/// Sizes that are whole vectors at every level, and others.
static const size_t sizes[] = {0, 1, 3, 16, 31, 64, 100, 257, 1024, 1500};

#define FOR_SIZES(NAME, ...)                                         \
  begin(__LINE__);                                                   \
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {        \
    const size_t n = sizes[s];                                       \
    __VA_ARGS__                                                      \
  }                                                                  \
  end(NAME)

static void elementwise(void) {
  FOR_SIZES("rectify", { float *x = floats(n); ck_rectify(x, n); add_floats(x, n); });
  FOR_SIZES("assign_bytes", { float *x = floats(n); ck_assign_bytes(x, bytes(n), 255, n); add_floats(x, n); });
  FOR_SIZES("keep_positive", { float *x = floats(n); ck_keep_positive(x, floats(n), n); add_floats(x, n); });
  FOR_SIZES("add", { float *x = floats(n); ck_add(x, floats(n), n); add_floats(x, n); });
  FOR_SIZES("scale", { float *x = floats(n); ck_scale(x, 0.3f, n); add_floats(x, n); });
  FOR_SIZES("combine", {
    float *x = floats(n);
    ck_combine(x, 0.7f, floats(n), -0.1f, n);
    add_floats(x, n);
    ck_combine(x, 0, floats(n), -0.1f, n);
    add_floats(x, n);
  });
  FOR_SIZES("column_sums", {
    float *sums = floats(n);
    ck_column_sums(floats(300 * n), 300, n, 0.1f, sums, 0.5f);
    add_floats(sums, n);
  });
}

static void normalizations(void) {
  FOR_SIZES("moments", {
    float *mean = floats(n), *variance = floats(n);
    ck_moments(floats(300 * n), 300, n, mean, variance);
    add_floats(mean, n);
    add_floats(variance, n);
  });
  FOR_SIZES("normalize", {
    float *y = floats(9 * n);
    ck_normalize(floats(9 * n), 9, n, floats(n), floats(n), floats(n), y);
    add_floats(y, 9 * n);
  });
  FOR_SIZES("gradient_moments", {
    float *sums = floats(n), *products = floats(n);
    ck_gradient_moments(floats(300 * n), floats(300 * n), 300, n, floats(n), sums, products);
    add_floats(sums, n);
    add_floats(products, n);
  });
  FOR_SIZES("normalize_gradient", {
    float *y = floats(9 * n);
    ck_normalize_gradient(floats(9 * n), floats(9 * n), 9, n, floats(n), floats(n), floats(n), floats(n), y);
    add_floats(y, 9 * n);
  });
  FOR_SIZES("layer_norm", if (n > 0) {
    float *y = floats(9 * n), *mean = floats(9), *inverse = floats(9);
    ck_layer_norm(floats(9 * n), 9, n, floats(n), floats(n), 1e-5f, y, mean, inverse);
    add_floats(y, 9 * n);
    add_floats(mean, 9);
    add_floats(inverse, 9);
  });
  FOR_SIZES("layer_norm_gradient", if (n > 0) {
    float *out = floats(9 * n), *sums = floats(n), *products = floats(n);
    ck_layer_norm_gradient(floats(9 * n), floats(9 * n), 9, n, floats(n), floats(9), positive(9), out, sums, products);
    add_floats(out, 9 * n);
    add_floats(sums, n);
    add_floats(products, n);
  });
}

static void attention(void) {
  FOR_SIZES("gelu", { float *y = floats(n); ck_gelu(floats(n), y, n); add_floats(y, n); });
  FOR_SIZES("gelu_gradient", { float *y = floats(n); ck_gelu_gradient(floats(n), floats(n), y, n); add_floats(y, n); });
  FOR_SIZES("causal_softmax", if (n > 2) { float *x = floats(3 * n); ck_causal_softmax(x, 3, n, 0.3f); add_floats(x, 3 * n); });
  FOR_SIZES("causal_softmax_gradient", if (n > 2) {
    float *g = floats(3 * n);
    ck_causal_softmax_gradient(positive(3 * n), g, 3, n, 0.3f);
    add_floats(g, 3 * n);
  });
  FOR_SIZES("dropout", { float *y = floats(n); ck_dropout(floats(n), y, n, 1u << 31, 2, 1, 2, 3, 4, 5); add_floats(y, n); });
}

static void optimizers(void) {
  FOR_SIZES("momentum", {
    float *x = floats(n), *v = floats(n);
    ck_momentum(x, floats(n), v, 0.1f, 0.9f, n);
    add_floats(x, n);
    add_floats(v, n);
  });
  FOR_SIZES("nesterov", {
    float *x = floats(n), *v = floats(n);
    ck_nesterov(x, floats(n), v, 0.1f, 0.9f, n);
    add_floats(x, n);
    add_floats(v, n);
  });
  FOR_SIZES("adam", {
    float *x = floats(n), *m = floats(n), *s = positive(n);
    ck_adam(x, floats(n), m, s, 0.1f, 0.9f, 0.999f, 1.5f, 1e-8f, n);
    add_floats(x, n);
    add_floats(m, n);
    add_floats(s, n);
  });
  FOR_SIZES("rmsprop", {
    float *x = floats(n), *s = positive(n);
    ck_rmsprop(x, floats(n), s, 0.1f, 0.99f, 1e-8f, n);
    add_floats(x, n);
    add_floats(s, n);
  });
  const ck_code *code[] = {ck_make_code(true), ck_make_code(false)};
  enum { SLOT = 6 * CK_BLOCK_FLOATS };
  for (int rule = 0; rule < 4; rule++) {
    const char *names[] = {"momentum_blocks", "nesterov_blocks", "adam_blocks", "rmsprop_blocks"};
    FOR_SIZES(names[rule], {
      float *x = floats(n), *m = reserve(SLOT * 4), *s = reserve(SLOT * 4), *back = floats(n);
      ck_encode_blocks(code[0], floats(n), n, m);
      ck_encode_blocks(code[1], positive(n), n, s);
      if (rule == 0) ck_momentum_blocks(x, floats(n), m, code[0], 0.1f, 0.9f, n);
      if (rule == 1) ck_nesterov_blocks(x, floats(n), m, code[0], 0.1f, 0.9f, n);
      if (rule == 2) ck_adam_blocks(x, floats(n), m, s, code[0], code[1], 0.1f, 0.9f, 0.999f, 1.5f, 1e-8f, n);
      if (rule == 3) ck_rmsprop_blocks(x, floats(n), s, code[1], 0.1f, 0.99f, 1e-8f, n);
      add_floats(x, n);
      add_bytes(m, SLOT * 4);
      add_bytes(s, SLOT * 4);
      ck_decode_blocks(code[0], m, n, back);
      add_floats(back, n);
    });
  }
}

static void images(void) {
  const ck_window windows[] = {{9, 8, 20, 3, 2, 1, 5, 4}, {6, 6, 16, 2, 2, 0, 3, 3}};
  for (int i = 0; i < 2; i++) {
    const ck_window *w = &windows[i];
    const size_t image = w->height * w->width * w->channels, places = 5 * w->out_height * w->out_width;
    begin(100 + i);
    float *x = floats(5 * image), *y = floats(places * w->channels), *g = floats(5 * image);
    ck_max_pool(w, x, places, y);
    add_floats(y, places * w->channels);
    ck_max_pool_gradient(w, x, y, places, g);
    add_floats(g, 5 * image);
    ck_average_pool(w, x, places, 0.25f, y);
    add_floats(y, places * w->channels);
    ck_average_pool_gradient(w, y, places, 0.25f, g);
    add_floats(g, 5 * image);
    end("pools");
  }
}

static void products(void) {
  const size_t shapes[][3] = {{1, 1, 1}, {2, 3, 5}, {7, 65, 129}, {13, 10, 128}, {8, 128, 600}, {25, 70, 1030}, {64, 32, 64}};
  for (int transposed = 0; transposed < 4; transposed++) {
    begin(200 + transposed);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
      const size_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
      const float *a = floats(m * k), *b = floats(n * k), *bias = floats(n);
      float *c = floats(m * n);
      for (int with_bias = 0; with_bias < 2; with_bias++) {
        const ck_product product = {
          m, n, k, a, transposed & 1 ? (ptrdiff_t)m : (ptrdiff_t)k, transposed & 1,
          b, transposed & 2 ? 1 : (ptrdiff_t)n, transposed & 2 ? (ptrdiff_t)k : 1, c, (ptrdiff_t)n,
          with_bias ? 1 : -0.7f, with_bias ? 0 : 0.3f, with_bias ? bias : NULL};
        ck_multiply(&product);
        add_floats(c, m * n);
      }
    }
    const char *names[] = {"multiply", "multiply_transposed_a", "multiply_transposed_b", "multiply_transposed_both"};
    end(names[transposed]);
  }
  const ck_window windows[] = {{9, 8, 20, 3, 2, 1, 5, 4}, {6, 6, 5, 3, 1, 1, 6, 6}, {7, 7, 33, 1, 1, 0, 7, 7}};
  for (int i = 0; i < 3; i++) {
    const ck_window *w = &windows[i];
    const size_t image = 4 * w->height * w->width * w->channels, out = 4 * w->out_height * w->out_width * 70;
    const size_t count = w->size * w->size * w->channels * 70;
    begin(300 + i);
    float *x = floats(image), *weights = floats(count), *y = floats(out), *g = floats(image);
    ck_convolve(w, 4, x, weights, 70, floats(70), y);
    add_floats(y, out);
    ck_convolve_images_gradient(w, 4, y, weights, 70, g);
    add_floats(g, image);
    ck_convolve_weights_gradient(w, 4, x, y, 70, 0, w->size * w->size, 0.1f, 0.9f, weights);
    add_floats(weights, count);
    end("convolve");
  }
}

static void winograd(void) {
  enum { IN = 32, OUT = 80, PLANES = CK_WINOGRAD_PLANES };
  const ck_window w = {9, 10, IN, 3, 1, 1, 9, 10};
  const size_t tiles = 2 * ck_winograd_tiles(&w), image = 2 * 90 * IN, out = 2 * 90 * OUT;
  begin(400);
  float *x = floats(image), *weights = floats(9 * IN * OUT), *y = floats(out), *g = floats(out);
  float *a = floats(PLANES * tiles * IN), *b = floats(PLANES * IN * OUT), *c = floats(PLANES * tiles * OUT);
  ck_winograd_images(&w, x, 0, tiles, a, tiles * IN);
  add_floats(a, PLANES * tiles * IN);
  // How transformed weights lie is the level's own choice: products show what they are.
  ck_winograd_weights(weights, IN, OUT, 0, 0, IN, b, IN * OUT);
  ck_winograd_multiply(a, tiles * IN, tiles, IN, b, IN * OUT, OUT, 0, PLANES, c, tiles * OUT, ck_multiply);
  add_floats(c, PLANES * tiles * OUT);
  ck_winograd_outputs(&w, c, tiles * OUT, OUT, floats(OUT), 0, tiles, y);
  add_floats(y, out);
  ck_winograd_outputs_gradient(&w, g, OUT, 0, tiles, c, tiles * OUT);
  add_floats(c, PLANES * tiles * OUT);
  ck_winograd_multiply_gradient(a, tiles * IN, tiles, IN, c, tiles * OUT, OUT, 0, 0, PLANES, b, IN * OUT, ck_multiply);
  add_floats(b, PLANES * IN * OUT);
  ck_winograd_weights_gradient(b, IN * OUT, IN, OUT, 0, IN, 0.1f, 0.9f, weights);
  add_floats(weights, 9 * IN * OUT);
  ck_winograd_weights(weights, IN, OUT, 1, 0, OUT, b, IN * OUT);
  ck_winograd_multiply(c, tiles * OUT, tiles, OUT, b, IN * OUT, IN, 0, PLANES, a, tiles * IN, ck_multiply);
  add_floats(a, PLANES * tiles * IN);
  end("winograd");
}

static void checkpoints(void) {
  for (int fine = 0; fine < 2; fine++)
    for (int low = 0; low < 3; low++) {
      FOR_SIZES(fine ? "split_join_fine" : "split_join", {
        uint32_t *bits = reserve(4 * n);
        ck_split_join(bytes(5 * n + 16), n, fine, 100, low, bits);
        add_bytes(bits, 4 * n);
      });
    }
  FOR_SIZES("difference_apply", {
    uint32_t *bits = (uint32_t *)floats(n);
    uint8_t *buckets = bytes(n);
    for (size_t i = 0; i < n; i++) buckets[i] %= 64;
    add(ck_difference_apply(buckets, bytes(4 * n + CK_DIFFERENCE_SLACK), n, 0, bits));
    add_bytes(bits, 4 * n);
  });
  FOR_SIZES("bfloat16", {
    float *x = floats(n);
    void *packed = reserve(2 * n);
    ck_pack_bfloat16(x, n, packed);
    add_bytes(packed, 2 * n);
    ck_round_bfloat16(x, n);
    add_floats(x, n);
    ck_unpack_bfloat16(packed, n, x);
    add_floats(x, n);
  });
  FOR_SIZES("float16", {
    float *x = floats(n);
    for (size_t i = 0; i < n; i++) x[i] *= i % 3 == 0 ? 0x1p-18f : i % 3 == 1 ? 0x1p15f : 1;
    void *packed = reserve(2 * n);
    ck_pack_float16(x, n, packed);
    add_bytes(packed, 2 * n);
    ck_unpack_float16(packed, n, x);
    add_floats(x, n);
  });
}

/// Doubles with any bits.
static double any_double(void) {
  const uint64_t bits = next();
  double x;
  memcpy(&x, &bits, 8);
  return x;
}

/// From −1 to 1.
static double unit_double(void) { return (double)((int64_t)next() >> 11) * 0x1p-52; }

static void elementary(void) {
  enum { POINTS = 200000 };
  begin(500);
  for (int i = 0; i < POINTS; i++) add_double(ck_exponential(i % 2 ? 750 * unit_double() : any_double()));
  end("exponential");
  begin(501);
  for (int i = 0; i < POINTS; i++) add_double(ck_logarithm(i % 2 ? 1 + unit_double() / 2 : any_double()));
  end("logarithm");
  begin(502);
  for (int i = 0; i < POINTS; i++) add_double(ck_logarithm_of_sum(fabs(unit_double())));
  end("logarithm_of_sum");
  begin(503);
  for (int i = 0; i < POINTS; i++) {
    double sine, cosine;
    ck_turn(unit_double() * (i % 2 ? 1 : 1000), &sine, &cosine);
    add_double(sine);
    add_double(cosine);
  }
  end("turn");
  begin(504);
  for (int i = 0; i < POINTS; i++) {
    const double x = fabs(unit_double());
    add_double(ck_power(x, 100 * unit_double()));
    add_double(ck_whole_power(x, next() >> 56));
  }
  end("power");
  FOR_SIZES("exponentials", {
    float *x = floats(n);
    for (size_t i = 0; i < n; i++) x[i] *= i % 4 == 0 ? 30 : 4;
    if (n > 30) x[30] = -INFINITY;
    ck_exponential_sums sums;
    ck_exponentials(x, n, 3, NULL, &sums);
    add_double(sums.powers);
    add_double(sums.numbers);
    add_floats(&sums.single_powers, 1);
    ck_exponentials(x, n, 3, x, NULL);
    add_floats(x, n);
  });
}

/// What evaluations and averages call.
static void evaluations(void) {
  begin(600);
  for (size_t columns = 1; columns <= CK_FEW_LOGITS; columns++) {
    const size_t rows = 37;
    float *x = floats(rows * columns);
    for (size_t i = 0; i < rows * columns; i += 7) x[i] *= 30;
    x[11 % columns] = -INFINITY;
    int32_t *classes = reserve(rows * sizeof(int32_t));
    for (size_t r = 0; r < rows; r++) classes[r] = (int32_t)(next() % columns);
    add_double(ck_add_cross_entropies(x, (ptrdiff_t)columns, rows, columns, classes, 0.5));
    add(ck_count_hits(x, (ptrdiff_t)columns, rows, columns, classes));
  }
  end("predictions");
  begin(601);
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    const size_t n = sizes[s];
    float *buffers[] = {floats(n), floats(n), floats(n)};
    const float weights[] = {0.01f, 0.3f, 0.9f};
    ck_move(buffers, weights, 3, floats(n), n);
    for (int i = 0; i < 3; i++) add_floats(buffers[i], n);
  }
  end("move");
  const size_t shapes[][3] = {{8, 64, 64}, {13, 100, 65}, {70, 128, 784}, {130, 200, 513}};
  begin(602);
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    const size_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
    float *a = floats(m * k), *c = floats(m * n);
    for (size_t i = 0; i < m * k; i++)
      if (next() % 4 != 0) a[i] = next() % 2 ? 0 : -0.0f;
    const ck_product product = {m, n, k, a, (ptrdiff_t)k, 0, floats(n * k), (ptrdiff_t)n, 1, c, (ptrdiff_t)n, 0.7f, 0.3f, floats(n)};
    ck_multiply(&product);
    add_floats(c, m * n);
  }
  end("multiply_sparse");
}

void kd_digests(kd_line with, void *context) {
  line = with;
  line_context = context;
  elementwise();
  normalizations();
  attention();
  optimizers();
  images();
  products();
  winograd();
  checkpoints();
  elementary();
  evaluations();
}

#ifdef KD_PROGRAM
static void print(void *context, const char *name, uint64_t digest) {
  (void)context;
  printf("%s %016llx\n", name, (unsigned long long)digest);
}

/// An argument names the level of SIMD.
int main(int count, char **arguments) {
  if (count > 1 && !ck_set_process_level(arguments[1])) {
    fprintf(stderr, "this machine has no level of SIMD called %s\n", arguments[1]);
    return 64;
  }
  kd_digests(print, NULL);
}
#endif
