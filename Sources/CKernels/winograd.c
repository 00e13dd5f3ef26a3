#include "winograd.h"

#include "matrix_tiles.h"

/// Where a tile begins.
typedef struct {
  size_t image, y, x;
} ck_corner;

/// Columns of a panel of transformed weights: that of products with many rows, and no less than a transpose writes.
static inline size_t panel_of(const ck_matrix_kernels *level) {
  size_t width = (size_t)(level->width * level->most_vectors[CK_MANY_TILE_ROWS - 1]);
  return width < 16 ? 16 : width;
}

static inline size_t tiles_across(const ck_window *w) { return (w->out_width + 3) / 4; }

size_t ck_winograd_tiles(const ck_window *w) { return (w->out_height + 3) / 4 * tiles_across(w); }

static inline ck_corner corner_of(const ck_window *w, size_t tile) {
  size_t of_image = ck_winograd_tiles(w);
  size_t in_image = tile % of_image;
  return (ck_corner){tile / of_image, in_image / tiles_across(w) * 4, in_image % tiles_across(w) * 4};
}

/// Where `size` × `size` pixels lie whose first is at (y, x) of an image; `outside` for those that it does not have.
static inline void look_at(
    const float *images, size_t image, size_t height, size_t width, size_t channels, ptrdiff_t y, ptrdiff_t x, int size,
    const float *outside, const float **pixels) {
  const float *base = images + image * height * width * channels;
  for (int i = 0; i < size; i++)
    for (int j = 0; j < size; j++) {
      ptrdiff_t down = y + i, across = x + j;
      int is_inside = down >= 0 && across >= 0 && down < (ptrdiff_t)height && across < (ptrdiff_t)width;
      pixels[i * size + j] = is_inside ? base + ((size_t)down * width + (size_t)across) * channels : outside;
    }
}

void ck_winograd_images(
    const ck_window *w, const float *images, size_t first, size_t tiles, float *transformed, size_t plane) {
  const ck_matrix_kernels *level = ck_matrix();
  for (size_t t = 0; t < tiles; t++) {
    ck_corner at = corner_of(w, first + t);
    const float *pixels[36];
    look_at(
        images, at.image, w->height, w->width, w->channels, (ptrdiff_t)at.y - (ptrdiff_t)w->padding,
        (ptrdiff_t)at.x - (ptrdiff_t)w->padding, 6, ck_zeros, pixels);
    level->transform_image(pixels, w->channels, transformed + t * w->channels, plane);
  }
}

void ck_winograd_outputs(
    const ck_window *w, const float *transformed, size_t plane, size_t out_channels, const float *bias, size_t first,
    size_t tiles, float *out) {
  const ck_matrix_kernels *level = ck_matrix();
  for (size_t t = 0; t < tiles; t++) {
    ck_corner at = corner_of(w, first + t);
    const float *places[16];
    look_at(
        out, at.image, w->out_height, w->out_width, out_channels, (ptrdiff_t)at.y, (ptrdiff_t)at.x, 4, NULL, places);
    level->transform_output(transformed + t * out_channels, plane, out_channels, bias, (float *const *)places);
  }
}

void ck_winograd_outputs_gradient(
    const ck_window *w, const float *out_gradient, size_t out_channels, size_t first, size_t tiles, float *transformed,
    size_t plane) {
  const ck_matrix_kernels *level = ck_matrix();
  for (size_t t = 0; t < tiles; t++) {
    ck_corner at = corner_of(w, first + t);
    const float *places[16];
    look_at(
        out_gradient, at.image, w->out_height, w->out_width, out_channels, (ptrdiff_t)at.y, (ptrdiff_t)at.x, 4, ck_zeros,
        places);
    level->transform_output_gradient(places, out_channels, transformed + t * out_channels, plane);
  }
}

void ck_winograd_weights(
    const float *weights, size_t in_channels, size_t out_channels, int is_adjoint, size_t first, size_t count,
    float *transformed, size_t plane) {
  const ck_matrix_kernels *level = ck_matrix();
  size_t rows = is_adjoint ? out_channels : in_channels;
  size_t columns = is_adjoint ? in_channels : out_channels;
  ptrdiff_t tap = (ptrdiff_t)(in_channels * out_channels);
  size_t most = panel_of(level);
  for (size_t left = 0; left < columns; left += most) {
    size_t width = ck_least(most, columns - left);
    float *panel = transformed + left * rows;
    if (!is_adjoint) {
      for (size_t row = first; row < first + count; row++)
        level->transform_weights(weights + row * out_channels + left, tap, width, panel + row * width, plane);
      continue;
    }
    for (size_t row = first; row < first + count; row += 16)
      for (size_t column = 0; column < width; column += 16) {
        // Turned by half a turn and transposed.
        float turned[9 * 16 * 16] __attribute__((aligned(64)));
        for (int t = 0; t < 9; t++)
          level->transpose(
              weights + (8 - t) * tap + (ptrdiff_t)((left + column) * out_channels + row), (ptrdiff_t)out_channels,
              turned + t * 256, 16);
        for (size_t r = 0; r < 16; r++)
          level->transform_weights(turned + r * 16, 256, 16, panel + (row + r) * width + column, plane);
      }
  }
}

void ck_winograd_multiply(
    const float *images, size_t image_plane, size_t tiles, size_t in_channels, const float *weights, size_t weight_plane,
    size_t out_channels, size_t first, size_t planes, float *products, size_t product_plane, ck_multiplier multiply) {
  size_t most = panel_of(ck_matrix());
  for (size_t p = first; p < first + planes; p++)
    for (size_t left = 0; left < out_channels; left += most) {
      size_t width = ck_least(most, out_channels - left);
      ck_product product = {
          tiles, width, in_channels,
          images + p * image_plane, (ptrdiff_t)in_channels, 0,
          weights + p * weight_plane + left * in_channels, (ptrdiff_t)width, 1,
          products + p * product_plane + left, (ptrdiff_t)out_channels, 1, 0, NULL};
      multiply(&product);
    }
}

void ck_winograd_multiply_gradient(
    const float *images, size_t image_plane, size_t tiles, size_t in_channels, const float *products, size_t product_plane,
    size_t out_channels, float beta, size_t first, size_t planes, float *weights, size_t weight_plane, ck_multiplier multiply) {
  for (size_t p = first; p < first + planes; p++) {
    ck_product product = {
        in_channels, out_channels, tiles,
        images + p * image_plane, (ptrdiff_t)in_channels, 1,
        products + p * product_plane, (ptrdiff_t)out_channels, 1,
        weights + p * weight_plane, (ptrdiff_t)out_channels, 1, beta, NULL};
    multiply(&product);
  }
}

void ck_winograd_weights_gradient(
    const float *transformed, size_t plane, size_t in_channels, size_t out_channels, size_t first, size_t count,
    float alpha, float beta, float *weights) {
  const ck_matrix_kernels *level = ck_matrix();
  for (size_t row = first; row < first + count; row++)
    level->transform_weights_gradient(
        transformed + row * out_channels, plane, out_channels, alpha, beta, weights + row * out_channels,
        in_channels * out_channels);
}
