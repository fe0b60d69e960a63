// Painting of palette values into a row of 160, a word of 64 at a time: each layer covers those before it.
#pragma once
#include "console.h"
#include "mask.h"

#if defined(__AVX512BW__) && !defined(PORTABLE)
#include <immintrin.h>

struct Layers {
    __m512i pixels;
    u64 range;
};

INLINE void layers_begin(Layers& l, u64 range, i32 colour) {
    l.pixels = _mm512_set1_epi8((char)colour);
    l.range = range;
}

INLINE void layers_add(Layers& l, u64 m, i32 colour) { l.pixels = _mm512_mask_set1_epi8(l.pixels, m, (char)colour); }

INLINE void layers_end(const Layers& l, u8* row) { _mm512_mask_storeu_epi8(row, l.range, l.pixels); }

#elif defined(__AVX2__) && !defined(PORTABLE)
#include <immintrin.h>

struct Layers {
    __m256i low, high;
    u64 range;
};

// Bit n of `b` becomes byte n, all ones or all zeros.
INLINE __m256i spread(u32 b) {
    const __m256i byte = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3,
                                          3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201ull);
    return _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)b), byte), bit), bit);
}

INLINE void layers_begin(Layers& l, u64 range, i32 colour) {
    l.low = l.high = _mm256_set1_epi8((char)colour);
    l.range = range;
}

INLINE void layers_add(Layers& l, u64 m, i32 colour) {
    const __m256i all = _mm256_set1_epi8((char)colour);
    l.low = _mm256_blendv_epi8(l.low, all, spread((u32)m));
    l.high = _mm256_blendv_epi8(l.high, all, spread((u32)(m >> 32)));
}

INLINE void store_pixels(u8* row, u32 range, __m256i pixels) {
    if (!range) return;  // perhaps behind the end of the row
    const __m256i before = _mm256_loadu_si256((const __m256i*)row);
    _mm256_storeu_si256((__m256i*)row, _mm256_blendv_epi8(before, pixels, spread(range)));
}

INLINE void layers_end(const Layers& l, u8* row) {
    store_pixels(row, (u32)l.range, l.low);
    store_pixels(row + 32, (u32)(l.range >> 32), l.high);
}

#else

// Several pixels to a word: bit n of `b` becomes byte n, all ones or all zeros.
#ifdef __CUDACC__
typedef u32 Pixels;
#define EVERY_PIXEL 0x01010101u
INLINE Pixels spread(u32 b) { return ((b * 0x00204081u) & EVERY_PIXEL) * 0xFF; }
#else
typedef u64 Pixels;
#define EVERY_PIXEL 0x0101010101010101ull
INLINE Pixels spread(u32 b) {
    u64 bits = ((u64)b * EVERY_PIXEL) & 0x8040201008040201ull;
    return (((bits + 0x7F7F7F7F7F7F7F7Full) | bits) >> 7 & EVERY_PIXEL) * 0xFF;
}
#endif
#define PIXELS_AT_ONCE ((i32)sizeof(Pixels))

#define MAX_LAYERS 6
struct Layers {
    u64 mask[MAX_LAYERS];
    u8 colour[MAX_LAYERS];
    i32 count;
};

INLINE void layers_begin(Layers& l, u64 range, i32 colour) {
    l.mask[0] = range;
    l.colour[0] = (u8)colour;
    l.count = 1;
}

INLINE void layers_add(Layers& l, u64 m, i32 colour) {
    l.mask[l.count] = m;
    l.colour[l.count++] = (u8)colour;
}

INLINE u32 bits_at(u64 w, i32 pixel) { return (u32)(w >> pixel) & ((1u << PIXELS_AT_ONCE) - 1); }

INLINE void layers_end(const Layers& l, u8* row) {
    for (i32 x = 0; x < 64 && l.mask[0] >> x; x += PIXELS_AT_ONCE) {
        if (!bits_at(l.mask[0], x)) continue;
        Pixels* place = (Pixels*)(row + x);
        Pixels here = *place;
        for (i32 n = 0; n < l.count; n++) {
            const Pixels m = spread(bits_at(l.mask[n], x));
            here = (here & ~m) | (m & (l.colour[n] * EVERY_PIXEL));
        }
        *place = here;
    }
}
#endif

INLINE void paint_span(u8* row, i32 x0, i32 x1, i32 colour) {
#ifndef __CUDACC__
    if (x1 - x0 == 8) {  // a comb
        const u64 pixels = (u64)(u8)colour * 0x0101010101010101ull;
        memcpy(row + x0, &pixels, 8);
        return;
    }
    if (x1 > x0) memset(row + x0, colour, (size_t)(x1 - x0));
#else
    for (i32 x = x0; x < x1; x++) row[x] = (u8)colour;
#endif
}

INLINE void copy_rows(u8* to, const u8* from, i32 rows) {
    for (i32 n = 0; n < rows * PIXELS / 8; n++) ((u64*)to)[n] = ((const u64*)from)[n];
}

// Rows are short: a call to the C library costs more than its work.
#if defined(__AVX2__) && !defined(PORTABLE)
INLINE __m256i part_of_row(const u8* row, i32 n) { return _mm256_loadu_si256((const __m256i*)row + n); }

INLINE void copy_row(u8* to, const u8* from) {
    for (i32 n = 0; n < PIXELS / 32; n++) _mm256_storeu_si256((__m256i*)to + n, part_of_row(from, n));
}

INLINE bool equal_rows(const u8* p, const u8* q) {
    __m256i unlike = _mm256_xor_si256(part_of_row(p, 0), part_of_row(q, 0));
    for (i32 n = 1; n < PIXELS / 32; n++)
        unlike = _mm256_or_si256(unlike, _mm256_xor_si256(part_of_row(p, n), part_of_row(q, n)));
    return _mm256_testz_si256(unlike, unlike);
}
#else
INLINE void copy_row(u8* to, const u8* from) {
    for (i32 n = 0; n < PIXELS / 8; n++) ((u64*)to)[n] = ((const u64*)from)[n];
}

INLINE bool equal_rows(const u8* p, const u8* q) {
    u64 unlike = 0;
    for (i32 n = 0; n < PIXELS / 8; n++) unlike |= ((const u64*)p)[n] ^ ((const u64*)q)[n];
    return unlike == 0;
}
#endif
