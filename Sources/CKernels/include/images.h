#ifndef BACKTRAIL_IMAGES_H
#define BACKTRAIL_IMAGES_H

#include <stddef.h>

/// A window that moves over images of height × width × channels, channels last, with `padding` on each side. It stops at
/// out_height × out_width places of each image.
typedef struct {
  size_t height, width, channels;
  size_t size, stride, padding;
  size_t out_height, out_width;
} ck_window;

/// The largest of each window and channel, padding left out; the first of equals; NaN where there is one.
void ck_max_pool(const ck_window *window, const float *images, size_t count, float *out);

/// Adds each gradient to where the largest value of its window was. `gradient` is not zeroed first.
void ck_max_pool_gradient(
    const ck_window *window, const float *images, const float *out_gradient, size_t count, float *gradient);

/// The sum of each window and channel, times factor.
void ck_average_pool(const ck_window *window, const float *images, size_t count, float factor, float *out);

/// Adds factor times each gradient to all of its window. `gradient` is not zeroed first.
void ck_average_pool_gradient(
    const ck_window *window, const float *out_gradient, size_t count, float factor, float *gradient);

#endif
