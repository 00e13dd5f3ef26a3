#include "images.h"

#include <stdint.h>
#include <string.h>

#include "dispatch.h"

/// Where a window lies: its first row and column in the padded image, less the padding.
typedef struct {
  size_t image;
  ptrdiff_t top, left;
} place_t;

static inline place_t first_place(const ck_window *w) { return (place_t){0, -(ptrdiff_t)w->padding, -(ptrdiff_t)w->padding}; }

/// Goes on to the next place of the image, or to the first one of the next.
static inline void advance(const ck_window *w, place_t *place) {
  place->left += (ptrdiff_t)w->stride;
  if (place->left < (ptrdiff_t)(w->out_width * w->stride) - (ptrdiff_t)w->padding) return;
  place->left = -(ptrdiff_t)w->padding;
  place->top += (ptrdiff_t)w->stride;
  if (place->top < (ptrdiff_t)(w->out_height * w->stride) - (ptrdiff_t)w->padding) return;
  place->top = -(ptrdiff_t)w->padding;
  place->image++;
}

/// The part of 0 ..< size that lies inside 0 ..< extent when it begins at `start`.
typedef struct {
  size_t begin, end;
} span_t;

static inline span_t inside(ptrdiff_t start, size_t size, size_t extent) {
  size_t begin = start < 0 ? (size_t)-start : 0;
  ptrdiff_t left = (ptrdiff_t)extent - start;
  size_t end = left < (ptrdiff_t)size ? (left < 0 ? 0 : (size_t)left) : size;
  return (span_t){begin < end ? begin : end, end};
}

static inline size_t offset_of(const ck_window *w, place_t place, size_t y, size_t x) {
  size_t row = place.image * w->height + (size_t)(place.top + (ptrdiff_t)y);
  return (row * w->width + (size_t)(place.left + (ptrdiff_t)x)) * w->channels;
}

CK_DISPATCHED(void, ck_max_pool, (const ck_window *w, const float *images, size_t count, float *out), (w, images, count, out)) {
  place_t place = first_place(w);
  for (size_t index = 0; index < count; index++, advance(w, &place)) {
    span_t down = inside(place.top, w->size, w->height);
    span_t across = inside(place.left, w->size, w->width);
    memcpy(out, images + offset_of(w, place, down.begin, across.begin), w->channels * sizeof(float));
    for (size_t y = down.begin; y < down.end; y++)
      for (size_t x = across.begin; x < across.end; x++) {
        const float *pixel = images + offset_of(w, place, y, x);
        // A NaN in `out` stays, since no comparison with it holds but the second.
        for (size_t c = 0; c < w->channels; c++)
          out[c] = ((pixel[c] > out[c]) | (pixel[c] != pixel[c])) ? pixel[c] : out[c];
      }
    out += w->channels;
  }
}

/// Channels of a window that go through SIMD at once.
enum { CHANNELS = 8 };
typedef float floats_t __attribute__((vector_size(4 * CHANNELS), aligned(4)));
typedef int32_t lanes_t __attribute__((vector_size(4 * CHANNELS), aligned(4)));

#define READ(pointer) (*(const floats_t *)(pointer))
#define CHOOSE(where, a, b) ((floats_t)(((where) & (lanes_t)(a)) | (~(where) & (lanes_t)(b))))

CK_DISPATCHED(
  void, ck_max_pool_gradient, (const ck_window *w, const float *images, const float *out_gradient, size_t count, float *gradient),
  (w, images, out_gradient, count, gradient)) {
  size_t channels = w->channels;
  size_t places = w->out_height * w->out_width;
  size_t image_floats = (count + places - 1) / places * w->height * w->width * channels;
  place_t place = first_place(w);
  size_t offsets[w->size * w->size];
  for (size_t index = 0; index < count; index++, advance(w, &place)) {
    span_t down = inside(place.top, w->size, w->height);
    span_t across = inside(place.left, w->size, w->width);
    int32_t pixels = 0;
    for (size_t y = down.begin; y < down.end; y++)
      for (size_t x = across.begin; x < across.end; x++) offsets[pixels++] = offset_of(w, place, y, x);
    size_t c = 0;
    // A NaN stays the largest, since no comparison with it holds but that with itself. Lanes behind the last channel see what lies
    // behind, and leave it as it is.
    for (; c < channels && offsets[pixels - 1] + c + CHANNELS <= image_floats && (count - index) * channels >= c + CHANNELS; c += CHANNELS) {
      floats_t largest = READ(images + offsets[0] + c);
      lanes_t best;
      for (size_t l = 0; l < CHANNELS; l++) best[l] = c + l < channels ? 0 : INT32_MIN;
      for (int32_t t = 1; t < pixels; t++) {
        floats_t value = READ(images + offsets[t] + c);
        lanes_t is_new = (value > largest) | (value != value);
        largest = CHOOSE(is_new, value, largest);
        best = (best & (~is_new | (best >> 31))) | (is_new & ~(best >> 31) & t);
      }
      floats_t added = READ(out_gradient + c);
      for (int32_t t = 0; t < pixels; t++) {
        floats_t *target = (floats_t *)(gradient + offsets[t] + c);
        *target = CHOOSE(best == t, *target + added, *target);
      }
    }
    for (; c < channels; c++) {
      size_t best = offsets[0];
      for (int32_t t = 1; t < pixels; t++) {
        float value = images[offsets[t] + c];
        if ((value > images[best + c]) | (value != value)) best = offsets[t];
      }
      gradient[best + c] += out_gradient[c];
    }
    out_gradient += channels;
  }
}

#undef READ
#undef CHOOSE

CK_DISPATCHED(
  void, ck_average_pool, (const ck_window *w, const float *images, size_t count, float factor, float *out),
  (w, images, count, factor, out)) {
  place_t place = first_place(w);
  for (size_t index = 0; index < count; index++, advance(w, &place)) {
    span_t down = inside(place.top, w->size, w->height);
    span_t across = inside(place.left, w->size, w->width);
    memset(out, 0, w->channels * sizeof(float));
    for (size_t y = down.begin; y < down.end; y++)
      for (size_t x = across.begin; x < across.end; x++) {
        const float *pixel = images + offset_of(w, place, y, x);
        for (size_t c = 0; c < w->channels; c++) out[c] += pixel[c];
      }
    for (size_t c = 0; c < w->channels; c++) out[c] *= factor;
    out += w->channels;
  }
}

CK_DISPATCHED(
  void, ck_average_pool_gradient, (const ck_window *w, const float *out_gradient, size_t count, float factor, float *gradient),
  (w, out_gradient, count, factor, gradient)) {
  place_t place = first_place(w);
  for (size_t index = 0; index < count; index++, advance(w, &place)) {
    span_t down = inside(place.top, w->size, w->height);
    span_t across = inside(place.left, w->size, w->width);
    for (size_t y = down.begin; y < down.end; y++)
      for (size_t x = across.begin; x < across.end; x++) {
        float *pixel = gradient + offset_of(w, place, y, x);
        for (size_t c = 0; c < w->channels; c++) pixel[c] += factor * out_gradient[c];
      }
    out_gradient += w->channels;
  }
}
