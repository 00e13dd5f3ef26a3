#include "images.h"

#include <string.h>

#include "dispatch.h"

/// Where a window lies: its first row and column in the padded image, less the padding.
typedef struct {
  size_t image;
  ptrdiff_t top, left;
} place_t;

static inline place_t place_at(const ck_window *w, size_t index) {
  size_t in_image = index % (w->out_height * w->out_width);
  return (place_t){
      index / (w->out_height * w->out_width),
      (ptrdiff_t)(in_image / w->out_width * w->stride) - (ptrdiff_t)w->padding,
      (ptrdiff_t)(in_image % w->out_width * w->stride) - (ptrdiff_t)w->padding};
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
  for (size_t index = 0; index < count; index++) {
    place_t place = place_at(w, index);
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

CK_DISPATCHED(
  void, ck_max_pool_gradient, (const ck_window *w, const float *images, const float *out_gradient, size_t count, float *gradient),
  (w, images, out_gradient, count, gradient)) {
  for (size_t index = 0; index < count; index++) {
    place_t place = place_at(w, index);
    span_t down = inside(place.top, w->size, w->height);
    span_t across = inside(place.left, w->size, w->width);
    for (size_t c = 0; c < w->channels; c++) {
      size_t best = offset_of(w, place, down.begin, across.begin) + c;
      for (size_t y = down.begin; y < down.end; y++)
        for (size_t x = across.begin; x < across.end; x++) {
          size_t offset = offset_of(w, place, y, x) + c;
          if ((images[offset] > images[best]) | (images[offset] != images[offset])) best = offset;
        }
      gradient[best] += out_gradient[c];
    }
    out_gradient += w->channels;
  }
}

CK_DISPATCHED(
  void, ck_average_pool, (const ck_window *w, const float *images, size_t count, float factor, float *out),
  (w, images, count, factor, out)) {
  for (size_t index = 0; index < count; index++) {
    place_t place = place_at(w, index);
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
  for (size_t index = 0; index < count; index++) {
    place_t place = place_at(w, index);
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
