#include "checkpoint.h"

#include <string.h>

#include "dispatch.h"

/// The numbers of a bucket: the least, and how many bits an offset has.
typedef struct {
  uint32_t least, size;
} Bucket;

/// Bits of an offset in the bucket with this symbol. Symbols from 64 on are never written, and mean zero.
#define SIZE(s) ((s) < 4 || (s) >= 64 ? 0 : (s) / 2 - 1)
#define BUCKET(s) {(s) >= 64 ? 0 : ((uint32_t)(s) - 2 * SIZE(s)) << SIZE(s), SIZE(s)}
#define BUCKETS4(s) BUCKET(s), BUCKET((s) + 1), BUCKET((s) + 2), BUCKET((s) + 3)
#define BUCKETS16(s) BUCKETS4(s), BUCKETS4((s) + 4), BUCKETS4((s) + 8), BUCKETS4((s) + 12)

/// By symbol; the rest is zero.
static const Bucket buckets_by_symbol[256] = {BUCKETS16(0), BUCKETS16(16), BUCKETS16(32), BUCKETS16(48)};

/// An integer that orders as the float with these bits does, without its last `dropped` bits.
static inline int32_t ordered(uint32_t bits, int dropped) {
  const int32_t value = (int32_t)bits;
  return (value ^ (value >> 31 & 0x7fffffff)) >> dropped;
}

/// Numbers are parted from the sums, which vectorise, in blocks that stay in the first-level cache.
enum { BLOCK = 512 };

CK_DISPATCHED(
  uint64_t, ck_difference_apply_portable, (const uint8_t *restrict symbols, const uint8_t *restrict offsets, uint64_t position,
    size_t count, int dropped, uint32_t *restrict bits),
  (symbols, offsets, position, count, dropped, bits)) {
  uint32_t numbers[BLOCK];
  // Of a negative number all bits below the sign are inverted, save those that were dropped.
  const int32_t inverted = 0x7fffffff >> dropped << dropped;
  for (size_t start = 0; start < count; start += BLOCK) {
    const size_t length = count - start < BLOCK ? count - start : BLOCK;
    for (size_t i = 0; i < length; i++) {
      const Bucket bucket = buckets_by_symbol[symbols[start + i]];
      uint64_t word;
      memcpy(&word, offsets + (position >> 3), 8);
      numbers[i] = bucket.least | ((uint32_t)(word >> (position & 7)) & ((1u << bucket.size) - 1));
      position += bucket.size;
    }
    for (size_t i = 0; i < length; i++) {
      const uint32_t difference = numbers[i] >> 1 ^ (0 - (numbers[i] & 1));
      const uint32_t value = ((uint32_t)ordered(bits[start + i], dropped) + difference) << dropped;
      bits[start + i] = value ^ (uint32_t)((int32_t)value >> 31 & inverted);
    }
  }
  return position;
}

#if defined(__x86_64__)
#include <immintrin.h>

#define VBMI static inline __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))

/// Bits of the offsets of 16 symbols below 64.
VBMI __m512i sizes(__m512i symbols) {
  const __m512i one = _mm512_set1_epi32(1);
  return _mm512_sub_epi32(_mm512_max_epu32(_mm512_srli_epi32(symbols, 1), one), one);
}

VBMI __m512i load_symbols(const uint8_t *symbols) {
  const __m128i bytes = _mm_loadu_si128((const __m128i *)symbols);
  return _mm512_cvtepu8_epi32(_mm_maskz_mov_epi8(_mm_cmplt_epu8_mask(bytes, _mm_set1_epi8(64)), bytes));
}

/// The 25 bits at each of 16 places, counted in bits from the start of `data`, and up to 7 bits behind them.
VBMI __m512i pick(__m512i data, __m512i places) {
  // A lane's byte four times, and the four bytes from there on.
  const __m512i spread = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c));
  const __m512i byte = _mm512_shuffle_epi8(_mm512_srli_epi32(places, 3), spread);
  const __m512i word = _mm512_permutexvar_epi8(_mm512_add_epi8(byte, _mm512_set1_epi32(0x03020100)), data);
  return _mm512_srlv_epi32(word, _mm512_and_si512(places, _mm512_set1_epi32(7)));
}

/// `ck_difference_apply_portable` for multiples of 16, a step each: 64 bytes hold the offsets of a step, 480 bits at most
/// after 7 of a begun byte, and a permutation of bytes brings each to its lane.
///
/// All places of a block are summed up first, and kept: in one loop, a step's chain of dependent instructions is so long that
/// few steps fit the processor's window.
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))
static uint64_t apply_vbmi(
  const uint8_t *symbols, const uint8_t *offsets, uint64_t position, size_t count, int dropped, uint32_t *bits
) {
  const __m512i zero = _mm512_setzero_si512(), one = _mm512_set1_epi32(1), last = _mm512_set1_epi32(15);
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  const __m512i inverted = _mm512_set1_epi32(0x7fffffff >> dropped << dropped);
  const __m128i shift = _mm_cvtsi32_si128(dropped);
  // In bits, from the byte the block's offsets begin in.
  uint32_t places[BLOCK] __attribute__((aligned(64)));
  for (size_t start = 0; start < count; start += BLOCK) {
    const size_t length = count - start < BLOCK ? count - start : BLOCK;
    __m512i sum = _mm512_set1_epi32((int)(position & 7));
    for (size_t i = 0; i < length; i += 16) {
      const __m512i size = sizes(load_symbols(symbols + start + i));
      // Sums of the sizes up to each lane, its own included.
      __m512i end = _mm512_add_epi32(size, _mm512_alignr_epi32(size, zero, 15));
      end = _mm512_add_epi32(end, _mm512_alignr_epi32(end, zero, 14));
      end = _mm512_add_epi32(end, _mm512_alignr_epi32(end, zero, 12));
      end = _mm512_add_epi32(end, _mm512_alignr_epi32(end, zero, 8));
      _mm512_store_si512(places + i, _mm512_add_epi32(sum, _mm512_sub_epi32(end, size)));
      sum = _mm512_add_epi32(sum, _mm512_permutexvar_epi32(last, end));
    }
    const uint8_t *block = offsets + (position >> 3);
    for (size_t i = 0; i < length; i += 16) {
      const __m512i symbol = load_symbols(symbols + start + i);
      const __m512i size = sizes(symbol);
      const __m512i least = _mm512_sllv_epi32(_mm512_sub_epi32(symbol, _mm512_add_epi32(size, size)), size);
      const uint32_t first = places[i] & ~7u;
      const __m512i place = _mm512_sub_epi32(_mm512_load_si512(places + i), _mm512_set1_epi32((int)first));
      const __m512i data = _mm512_loadu_si512(block + first / 8);
      __m512i offset = pick(data, place);
      if (__builtin_expect(_mm512_cmpgt_epu32_mask(size, _mm512_set1_epi32(25)) != 0, 0)) {
        // The bits from the 17th on are picked by themselves.
        const __m512i upper = pick(data, _mm512_add_epi32(place, _mm512_set1_epi32(16)));
        offset = _mm512_or_si512(
          _mm512_and_si512(offset, _mm512_set1_epi32(0xffff)), _mm512_slli_epi32(upper, 16));
      }
      const __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, size), one);
      const __m512i number = _mm512_or_si512(least, _mm512_and_si512(offset, mask));

      const __m512i difference =
        _mm512_xor_si512(_mm512_srli_epi32(number, 1), _mm512_sub_epi32(zero, _mm512_and_si512(number, one)));
      __m512i value = _mm512_loadu_si512(bits + start + i);
      value = _mm512_xor_si512(value, _mm512_and_si512(_mm512_srai_epi32(value, 31), magnitude));
      value = _mm512_sll_epi32(_mm512_add_epi32(_mm512_sra_epi32(value, shift), difference), shift);
      value = _mm512_xor_si512(value, _mm512_and_si512(_mm512_srai_epi32(value, 31), inverted));
      _mm512_storeu_si512(bits + start + i, value);
    }
    position = (position & ~(uint64_t)7) + (uint32_t)_mm512_cvtsi512_si32(sum);
  }
  return position;
}
#endif

uint64_t ck_difference_apply(
  const uint8_t *buckets, const uint8_t *offsets, size_t count, int dropped, uint32_t *bits
) {
  size_t done = 0;
  uint64_t position = 0;
#if defined(__x86_64__)
  // 0.33 ns a float, against 0.70.
  if (ck_level() == 0 && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vl")) {
    done = count / 16 * 16;
    position = apply_vbmi(buckets, offsets, 0, done, dropped, bits);
  }
#endif
  return ck_difference_apply_portable(buckets + done, offsets, position, count - done, dropped, bits + done);
}
