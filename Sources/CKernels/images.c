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

/// Channels of a window that go through SIMD at once.
enum { CHANNELS = 8 };
typedef float floats_t __attribute__((vector_size(4 * CHANNELS), aligned(4)));
typedef int32_t lanes_t __attribute__((vector_size(4 * CHANNELS), aligned(4)));

#define READ(pointer) (*(const floats_t *)(pointer))
#define CHOOSE(where, a, b) ((floats_t)(((where) & (lanes_t)(a)) | (~(where) & (lanes_t)(b))))

/// Offsets of a window's pixels, as far as they lie in the image, first to last.
/// - Returns: how many.
INLINED int32_t pixels_of(const ck_window *w, place_t place, size_t *offsets) {
  span_t down = inside(place.top, w->size, w->height);
  span_t across = inside(place.left, w->size, w->width);
  int32_t count = 0;
  for (size_t y = down.begin; y < down.end; y++)
    for (size_t x = across.begin; x < across.end; x++) offsets[count++] = offset_of(w, place, y, x);
  return count;
}

/// Up to which channel whole vectors may be read from a window's pixels, the last of them at `last`, and from or to `left` floats of
/// output, without leaving images of `image_floats` floats. Behind the last channel they see the next pixel's.
INLINED size_t whole_channels(const ck_window *w, size_t image_floats, size_t last, size_t left) {
  size_t room = image_floats - last < left ? image_floats - last : left;
  size_t rounded = (w->channels + CHANNELS - 1) / CHANNELS * CHANNELS;
  return rounded <= room ? rounded : w->channels / CHANNELS * CHANNELS;
}

INLINED size_t image_floats_of(const ck_window *w, size_t count) {
  return count / (w->out_height * w->out_width) * w->height * w->width * w->channels;
}

// A NaN stays the largest, since no comparison with it holds but that with itself.

CK_DISPATCHED(void, ck_max_pool, (const ck_window *w, const float *images, size_t count, float *out), (w, images, count, out)) {
  size_t channels = w->channels, image_floats = image_floats_of(w, count);
  size_t offsets[w->size * w->size];
  place_t place = first_place(w);
  for (size_t index = 0; index < count; index++, advance(w, &place)) {
    int32_t pixels = pixels_of(w, place, offsets);
    size_t whole = whole_channels(w, image_floats, offsets[pixels - 1], (count - index) * channels), c = 0;
    for (; c < whole; c += CHANNELS) {
      floats_t largest = READ(images + offsets[0] + c);
      for (int32_t t = 1; t < pixels; t++) {
        floats_t value = READ(images + offsets[t] + c);
        largest = CHOOSE((value > largest) | (value != value), value, largest);
      }
      *(floats_t *)(out + c) = largest;
    }
    for (; c < channels; c++) {
      out[c] = images[offsets[0] + c];
      for (int32_t t = 1; t < pixels; t++) {
        float value = images[offsets[t] + c];
        out[c] = (value > out[c]) | (value != value) ? value : out[c];
      }
    }
    out += channels;
  }
}

CK_DISPATCHED(
  void, ck_max_pool_gradient, (const ck_window *w, const float *images, const float *out_gradient, size_t count, float *gradient),
  (w, images, out_gradient, count, gradient)) {
  size_t channels = w->channels, image_floats = image_floats_of(w, count);
  size_t offsets[w->size * w->size];
  place_t place = first_place(w);
  for (size_t index = 0; index < count; index++, advance(w, &place)) {
    int32_t pixels = pixels_of(w, place, offsets);
    size_t whole = whole_channels(w, image_floats, offsets[pixels - 1], (count - index) * channels), c = 0;
    for (; c < whole; c += CHANNELS) {
      floats_t largest = READ(images + offsets[0] + c);
      // Lanes behind the last channel are no pixel's, and leave what lies there as it is.
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
