#include "matrix.h"

#include <string.h>

#include "matrix_tiles.h"

// Convolutions are matrix products whose rows of A lie where the images have them: a tile's rows are looked up tap by tap
// (the indirect convolution of Dukhan 2019, "The Indirect Convolution Algorithm"), so that windows are never written out.

/// The largest number of taps that a panel is made for at once; more than any usual window has.
#define CK_TAPS 64

typedef struct {
  size_t image, y, x;
} ck_place;

/// Some rows of an image and some places in each, at equal distances.
typedef struct {
  size_t top, left, step, down, across;
} ck_grid;

static inline ck_place place_of(const ck_grid *g, size_t index) {
  size_t in_image = index % (g->down * g->across);
  return (ck_place){
      index / (g->down * g->across), g->top + in_image / g->across * g->step, g->left + in_image % g->across * g->step};
}

/// Images, channels last.
typedef struct {
  const float *values;
  size_t height, width, channels;
} ck_images;

/// What lies at row y and column x of an image, or zeros.
static inline const float *look(const ck_images *s, size_t image, ptrdiff_t y, ptrdiff_t x, size_t channel) {
  if (y < 0 || x < 0 || y >= (ptrdiff_t)s->height || x >= (ptrdiff_t)s->width) return ck_zeros;
  return s->values + ((image * s->height + (size_t)y) * s->width + (size_t)x) * s->channels + channel;
}

/// Which place tap t of a window, counted down or across, sees from place p: (p · factor + offset + sign · t) / divisor;
/// none where that leaves a remainder.
typedef struct {
  ptrdiff_t factor, offset, sign, divisor;
} ck_sight;

/// Pointers that are looked up at a time, for all panels of weights.
#define CK_SEEN 4096

/// A sum over taps of what they see of `source`, at the places of `grid` in `target`.
typedef struct {
  ck_images source;
  ck_sight sight;
  size_t size;
  ck_grid grid;
  /// Of its values only where they would lie is used.
  ck_images target;
} ck_view;

/// What `taps` taps from `first` on see of the channels from `channel` on, from `count` places from `top` on: tap by tap, place by place.
static void look_up(
    const ck_view *v, size_t channel, size_t first, size_t taps, size_t top, size_t count, const float **seen, size_t *places) {
  for (size_t r = 0; r < count; r++) {
    ck_place place = place_of(&v->grid, top + r);
    places[r] = ((place.image * v->target.height + place.y) * v->target.width + place.x) * v->target.channels;
    ptrdiff_t top_tap = (ptrdiff_t)place.y * v->sight.factor + v->sight.offset;
    ptrdiff_t left_tap = (ptrdiff_t)place.x * v->sight.factor + v->sight.offset;
    for (size_t q = 0; q < taps; q++) {
      ptrdiff_t y = top_tap + v->sight.sign * (ptrdiff_t)((first + q) / v->size);
      ptrdiff_t x = left_tap + v->sight.sign * (ptrdiff_t)((first + q) % v->size);
      const float *found = NULL;
      if (v->sight.divisor == 1) {
        found = look(&v->source, place.image, y, x, channel);
      } else if (y % v->sight.divisor == 0 && x % v->sight.divisor == 0) {
        found = look(&v->source, place.image, y / v->sight.divisor, x / v->sight.divisor, channel);
      }
      seen[q * count + r] = found;
    }
  }
}

/// values ← the sum over taps of what they see, times the taps' weights.
/// - is_transposed: whether the weights' last extent is the source's.
static void convolve(
    const ck_view *v, size_t examples, const float *weights, int is_transposed, const float *bias, float *values) {
  const ck_matrix_kernels *level = ck_matrix();
  size_t all = examples * v->grid.down * v->grid.across, windows = v->size * v->size;
  size_t source_channels = v->source.channels, target_channels = v->target.channels;
  for (size_t channel = 0; channel < source_channels; channel += CK_BLOCK) {
    size_t length = ck_least(CK_BLOCK, source_channels - channel);
    size_t group = ck_least(CK_TAPS, CK_BLOCK / length);
    for (size_t first = 0; first < windows; first += group) {
      size_t taps = ck_least(group, windows - first);
      int is_first = channel == 0 && first == 0;
      // Rows by the block, whose pointers serve all panels.
      size_t block = CK_SEEN / taps;
      for (size_t begin = 0; begin < all; begin += block) {
        const float *seen[CK_SEEN];
        size_t places[CK_SEEN];
        ck_cut rows = ck_cut_rows(level, ck_least(block, all - begin), target_channels);
        size_t width = ck_width_of(level, &rows), top = 0;
        for (size_t t = 0; t < rows.tiles; t++) {
          size_t count = (size_t)ck_rows_of(&rows, t);
          look_up(v, channel, first, taps, begin + top, count, seen + top * taps, places + top);
          top += count;
        }
        for (size_t left = 0; left < target_channels; left += width) {
          size_t columns = ck_least(width, target_channels - left);
          int vectors = ck_vectors_of(level, columns);
          for (size_t t = 0; t < taps; t++) {
            const float *tap = weights + (first + t) * source_channels * target_channels;
            float *panel = ck_scratch.panel + t * length * (size_t)(vectors * level->width);
            if (is_transposed)
              ck_pack(level, tap + left * source_channels + channel, 1, (ptrdiff_t)source_channels, length, columns, panel);
            else
              ck_pack(level, tap + channel * target_channels + left, (ptrdiff_t)target_channels, 1, length, columns, panel);
          }
          ck_tile tile = {(int)columns, 1, is_first ? 0 : 1, is_first && bias ? bias + left : NULL};
          top = 0;
          for (size_t t = 0; t < rows.tiles; t++) {
            size_t count = (size_t)ck_rows_of(&rows, t);
            float *c[CK_TILE_ROWS];
            for (size_t r = 0; r < count; r++) c[r] = values + places[top + r] + left;
            level->by_rows[count - 1][vectors - 1](
                &tile, seen + top * taps, (int)taps, (ptrdiff_t)length, ck_scratch.panel, vectors * level->width, c);
            top += count;
          }
        }
      }
    }
  }
}

/// Images with zeros around them, so that windows at every place lie inside, and where a window finds its taps: at equal distances from
/// its first pixel.
typedef struct {
  /// The images without the zeros.
  ck_images source;
  size_t margin, height, width;
  /// Pixels between neighbouring places of a window.
  size_t step;
  /// Places of a window down and across.
  size_t down, across;
} ck_padded;

static inline size_t floats_of(const ck_padded *p) { return p->height * p->width * p->source.channels; }

/// Whether several such images fit in the scratch memory, and all of a sum's terms in a panel, so that sums run as those of larger images
/// do.
static inline int is_small(const ck_padded *p, size_t size) {
  return size * size <= CK_TAPS && size * size * p->source.channels <= CK_BLOCK &&
         (CK_COLUMN_BLOCK / (p->down * p->across) + 2) * floats_of(p) <= CK_IMAGE_FLOATS;
}

/// Writes image `image` to its place in the scratch memory, which holds the last so many.
static void pad(const ck_padded *p, size_t image, size_t room) {
  const ck_images *s = &p->source;
  float *target = ck_scratch.images + image % room * floats_of(p);
  memset(target, 0, floats_of(p) * sizeof(float));
  for (size_t y = 0; y < s->height; y++)
    memcpy(
        target + ((y + p->margin) * p->width + p->margin) * s->channels,
        s->values + (image * s->height + y) * s->width * s->channels, s->width * s->channels * sizeof(float));
}

/// A window's place and its first pixel in the scratch memory.
typedef struct {
  const float *pixel;
  size_t image, y, x;
} ck_cursor;

/// The window's first pixel, before it moves on to the next place.
static inline const float *next_window(ck_cursor *at, const ck_padded *p, size_t room) {
  const float *pixel = at->pixel;
  if (++at->x < p->across) {
    at->pixel += p->step * p->source.channels;
    return pixel;
  }
  at->x = 0;
  if (++at->y == p->down) {
    at->y = 0;
    at->image++;
  }
  at->pixel = ck_scratch.images + at->image % room * floats_of(p) + at->y * p->step * p->width * p->source.channels;
  return pixel;
}

/// out ← the sum over stretches of `length` floats, which begin at `taps` from a window's first pixel, times the weights, for all places.
static void convolve_padded(
    const ck_padded *p, size_t examples, const ptrdiff_t *taps, size_t stretches, size_t length, const float *weights,
    int is_transposed, const float *bias, size_t out_channels, float *out) {
  const ck_matrix_kernels *level = ck_matrix();
  size_t terms = stretches * length, room = CK_IMAGE_FLOATS / floats_of(p), places = p->down * p->across;
  for (size_t first = 0; first < examples; first += room) {
    size_t images = ck_least(room, examples - first);
    for (size_t i = first; i < first + images; i++) pad(p, i, room);
    ck_cut rows = ck_cut_rows(level, images * places, out_channels);
    size_t width = ck_width_of(level, &rows);
    for (size_t left = 0; left < out_channels; left += width) {
      size_t columns = ck_least(width, out_channels - left);
      int vectors = ck_vectors_of(level, columns);
      if (is_transposed) {
        // Each stretch is a tap, whose weights lie the other way round.
        for (size_t s = 0; s < stretches; s++)
          ck_pack(
              level, weights + (s * out_channels + left) * length, 1, (ptrdiff_t)length, length, columns,
              ck_scratch.panel + s * length * (size_t)(vectors * level->width));
      } else {
        ck_pack(level, weights + left, (ptrdiff_t)out_channels, 1, terms, columns, ck_scratch.panel);
      }
      ck_tile tile = {(int)columns, 1, 0, bias ? bias + left : NULL};
      size_t top = first * places;
      ck_cursor at = {ck_scratch.images + first % room * floats_of(p), first, 0, 0};
      for (size_t t = 0; t < rows.tiles; t++) {
        size_t count = (size_t)ck_rows_of(&rows, t);
        const float *a[CK_TAPS * CK_TILE_ROWS];
        float *c[CK_TILE_ROWS];
        ck_cursor begin = at;
        size_t lowest = 0;
        for (size_t r = 0; r < count; r++) {
          lowest = at.y * p->step;
          const float *window = next_window(&at, p, room);
          c[r] = out + (top + r) * out_channels + left;
          for (size_t s = 0; s < stretches; s++) a[s * count + r] = window + taps[s];
        }
        // What lies above or below the image from all places is zero.
        if ((top + count - 1) / places == begin.image)
          for (size_t s = 0; s < stretches; s++) {
            size_t y = (size_t)taps[s] / (p->width * p->source.channels);
            if (y + lowest < p->margin || y + begin.y * p->step >= p->margin + p->source.height) a[s * count] = NULL;
          }
        level->by_rows[count - 1][vectors - 1](
            &tile, a, (int)stretches, (ptrdiff_t)length, ck_scratch.panel, vectors * level->width, c);
        top += count;
      }
    }
  }
}

/// The images that a convolution sees.
static inline ck_padded padded_images(const ck_window *w, const float *images) {
  return (ck_padded){
      {images, w->height, w->width, w->channels}, w->padding, w->height + 2 * w->padding, w->width + 2 * w->padding, w->stride,
      w->out_height, w->out_width};
}

void ck_convolve(
    const ck_window *w, size_t examples, const float *images, const float *weights, size_t out_channels,
    const float *bias, float *out) {
  ck_padded padded = padded_images(w, images);
  if (is_small(&padded, w->size)) {
    // A row of a window is one stretch.
    ptrdiff_t taps[CK_TAPS];
    for (size_t y = 0; y < w->size; y++) taps[y] = (ptrdiff_t)(y * padded.width * w->channels);
    return convolve_padded(
        &padded, examples, taps, w->size, w->size * w->channels, weights, 0, bias, out_channels, out);
  }
  ck_view view = {
      padded.source, {(ptrdiff_t)w->stride, -(ptrdiff_t)w->padding, 1, 1}, w->size, {0, 0, 1, w->out_height, w->out_width},
      {out, w->out_height, w->out_width, out_channels}};
  convolve(&view, examples, weights, 0, bias, out);
}

void ck_convolve_images_gradient(
    const ck_window *w, size_t examples, const float *out_gradient, const float *weights, size_t out_channels,
    float *images) {
  ck_images source = {out_gradient, w->out_height, w->out_width, out_channels};
  if (w->stride == 1 && w->padding < w->size) {
    size_t margin = w->size - 1 - w->padding;
    ck_padded padded = {
        source, margin, w->out_height + 2 * margin, w->out_width + 2 * margin, 1, w->height, w->width};
    if (is_small(&padded, w->size)) {
      // Windows turned by half a turn.
      ptrdiff_t taps[CK_TAPS];
      for (size_t t = 0; t < w->size * w->size; t++) {
        size_t y = w->size - 1 - t / w->size, x = w->size - 1 - t % w->size;
        taps[t] = (ptrdiff_t)((y * padded.width + x) * out_channels);
      }
      return convolve_padded(
          &padded, examples, taps, w->size * w->size, out_channels, weights, 1, NULL, w->channels, images);
    }
  }
  ck_view view = {
      source, {1, (ptrdiff_t)w->padding, -1, (ptrdiff_t)w->stride}, w->size, {0}, {images, w->height, w->width, w->channels}};
  // Pixels whose rows and columns leave the same remainders by the stride are seen by the same taps.
  size_t stride = w->stride;
  for (size_t top = 0; top < ck_least(stride, w->height); top++)
    for (size_t left = 0; left < ck_least(stride, w->width); left++) {
      view.grid = (ck_grid){
          top, left, stride, (w->height - top + stride - 1) / stride, (w->width - left + stride - 1) / stride};
      convolve(&view, examples, weights, 1, NULL, images);
    }
}

/// The gradient by weights of images with zeros around them: every row of the weights is a pixel and channel of a window.
static void weights_gradient_padded(
    const ck_padded *p, size_t size, size_t examples, const float *out_gradient, size_t out_channels, size_t first_tap, size_t taps,
    float alpha, float beta, float *weights) {
  const ck_matrix_kernels *level = ck_matrix();
  size_t channels = p->source.channels, places = p->down * p->across, all = examples * places;
  size_t room = CK_IMAGE_FLOATS / floats_of(p), padded = 0;
  ck_cut rows = ck_cut_rows(level, taps * channels, out_channels);
  size_t width = ck_width_of(level, &rows);
  for (size_t r = 0; r < taps * channels; r++) {
    size_t tap = first_tap + r / channels;
    ck_scratch.indices[r] = (int)((tap / size * p->width + tap % size) * channels + r % channels);
  }
  ck_cursor at = {ck_scratch.images, 0, 0, 0};
  for (size_t first = 0; first < all; first += CK_COLUMN_BLOCK) {
    size_t length = ck_least(CK_COLUMN_BLOCK, all - first);
    for (; padded * places < first + length; padded++) pad(p, padded, room);
    for (size_t k = 0; k < length; k++) ck_scratch.columns[k] = next_window(&at, p, room);
    for (size_t left = 0; left < out_channels; left += width) {
      size_t columns = ck_least(width, out_channels - left);
      int vectors = ck_vectors_of(level, columns);
      ck_pack(
          level, out_gradient + first * out_channels + left, (ptrdiff_t)out_channels, 1, length, columns, ck_scratch.panel);
      ck_tile tile = {(int)columns, alpha, first == 0 ? beta : 1, NULL};
      ck_sum_columns(
          level, &rows, vectors, &tile, ck_scratch.indices, NULL, length, ck_scratch.panel,
          weights + first_tap * channels * out_channels + left, (ptrdiff_t)out_channels);
    }
  }
}

void ck_convolve_weights_gradient(
    const ck_window *w, size_t examples, const float *images, const float *out_gradient, size_t out_channels,
    size_t first_tap, size_t taps, float alpha, float beta, float *weights) {
  const ck_matrix_kernels *level = ck_matrix();
  ck_padded padded = padded_images(w, images);
  if (is_small(&padded, w->size))
    return weights_gradient_padded(
        &padded, w->size, examples, out_gradient, out_channels, first_tap, taps, alpha, beta, weights);
  ck_images source = padded.source;
  ck_grid grid = {0, 0, 1, w->out_height, w->out_width};
  size_t all = examples * w->out_height * w->out_width;
  for (size_t r = 0; r < ck_least(CK_BLOCK, w->channels); r++) ck_scratch.indices[r] = (int)r;
  for (size_t first = 0; first < all; first += CK_COLUMN_BLOCK) {
    size_t length = ck_least(CK_COLUMN_BLOCK, all - first);
    ck_place places[CK_COLUMN_BLOCK];
    for (size_t p = 0; p < length; p++) places[p] = place_of(&grid, first + p);
    for (size_t channel = 0; channel < w->channels; channel += CK_BLOCK) {
      ck_cut rows = ck_cut_rows(level, ck_least(CK_BLOCK, w->channels - channel), out_channels);
      size_t width = ck_width_of(level, &rows);
      for (size_t left = 0; left < out_channels; left += width) {
        size_t columns = ck_least(width, out_channels - left);
        ck_pack(
            level, out_gradient + first * out_channels + left, (ptrdiff_t)out_channels, 1, length, columns,
            ck_scratch.panel);
        ck_tile tile = {(int)columns, alpha, first == 0 ? beta : 1, NULL};
        for (size_t q = first_tap; q < first_tap + taps; q++) {
          ptrdiff_t down = (ptrdiff_t)(q / w->size) - (ptrdiff_t)w->padding;
          ptrdiff_t across = (ptrdiff_t)(q % w->size) - (ptrdiff_t)w->padding;
          for (size_t p = 0; p < length; p++)
            ck_scratch.columns[p] = look(
                &source, places[p].image, (ptrdiff_t)(places[p].y * w->stride) + down,
                (ptrdiff_t)(places[p].x * w->stride) + across, channel);
          ck_sum_columns(
              level, &rows, ck_vectors_of(level, columns), &tile, ck_scratch.indices, NULL, length, ck_scratch.panel,
              weights + (q * w->channels + channel) * out_channels + left, (ptrdiff_t)out_channels);
        }
      }
    }
  }
}
