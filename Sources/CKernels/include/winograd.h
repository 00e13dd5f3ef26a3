#ifndef BACKTRAIL_WINOGRAD_H
#define BACKTRAIL_WINOGRAD_H

#include <stddef.h>

#include "images.h"
#include "matrix.h"

/// Convolutions of 3 × 3 at distance 1 by Winograd's F(4 × 4, 3 × 3): a quarter of the multiplications. An output is cut into
/// tiles of 4 × 4 places, numbered through all images. Of each tile, of the weights and of their products there are
/// `CK_WINOGRAD_PLANES` transforms, each a matrix: of plane p it begins at p · plane. Numbers of channels are multiples of 16
/// and at most 512.
#define CK_WINOGRAD_PLANES 36

/// Tiles of one image.
size_t ck_winograd_tiles(const ck_window *window);

/// planes of tiles × channels ← what the window sees of tiles `first` to first + tiles.
void ck_winograd_images(
    const ck_window *window, const float *images, size_t first, size_t tiles, float *transformed, size_t plane);

/// Writes the tiles' places from planes of tiles × out_channels, and adds a bias (null: none).
void ck_winograd_outputs(
    const ck_window *window, const float *transformed, size_t plane, size_t out_channels, const float *bias, size_t first,
    size_t tiles, float *out);

/// planes of tiles × out_channels ← the gradient by what `ck_winograd_outputs` reads.
void ck_winograd_outputs_gradient(
    const ck_window *window, const float *out_gradient, size_t out_channels, size_t first, size_t tiles,
    float *transformed, size_t plane);

/// planes of in_channels × out_channels ← weights [3][3][in_channels][out_channels], columns in panels as products read them;
/// where `is_adjoint`, those of the gradient by the images: planes of out_channels × in_channels. For `count` rows from
/// `first` on, multiples of 16.
void ck_winograd_weights(
    const float *weights, size_t in_channels, size_t out_channels, int is_adjoint, size_t first, size_t count,
    float *transformed, size_t plane);

/// products ← images times weights, in `planes` planes from `first` on, each panel of columns by `multiply`.
void ck_winograd_multiply(
    const float *images, size_t image_plane, size_t tiles, size_t in_channels, const float *weights, size_t weight_plane,
    size_t out_channels, size_t first, size_t planes, float *products, size_t product_plane, ck_multiplier multiply);

/// weights ← β · weights + the products' gradient by the weights, in `planes` planes from `first` on, each by `multiply`: of
/// in_channels × out_channels, rows throughout.
void ck_winograd_multiply_gradient(
    const float *images, size_t image_plane, size_t tiles, size_t in_channels, const float *products, size_t product_plane,
    size_t out_channels, float beta, size_t first, size_t planes, float *weights, size_t weight_plane, ck_multiplier multiply);

/// weights ← alpha · the gradient by them + beta · weights, for `count` rows of in_channels from `first` on.
void ck_winograd_weights_gradient(
    const float *transformed, size_t plane, size_t in_channels, size_t out_channels, size_t first, size_t count,
    float alpha, float beta, float *weights);

#endif
