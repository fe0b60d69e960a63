// Painting of palette values into one row of 160: each layer covers those before it.
#pragma once
#include "mask.h"
#include "console.h"

#if defined(__AVX512BW__) && defined(__AVX512VL__) && !defined(PORTABLE)
#include <immintrin.h>

struct Layers {
    __m512i q0, q1;
    __m256i q2;
    Mask range;
};

INLINE void layers_begin(Layers& l, Mask range, i32 colour) {
    l.q0 = l.q1 = _mm512_set1_epi8((char)colour);
    l.q2 = _mm256_set1_epi8((char)colour);
    l.range = range;
}

INLINE void layers_add(Layers& l, Mask m, i32 colour) {
    l.q0 = _mm512_mask_set1_epi8(l.q0, m.w0, (char)colour);
    l.q1 = _mm512_mask_set1_epi8(l.q1, m.w1, (char)colour);
    l.q2 = _mm256_mask_set1_epi8(l.q2, (__mmask32)m.w2, (char)colour);
}

INLINE void layers_end(const Layers& l, u8* row) {
    _mm512_mask_storeu_epi8(row, l.range.w0, l.q0);
    _mm512_mask_storeu_epi8(row + 64, l.range.w1, l.q1);
    _mm256_mask_storeu_epi8(row + 128, (__mmask32)l.range.w2, l.q2);
}

#else

// Eight pixels to a word: bit n of `b` becomes byte n, all ones or all zeros.
INLINE u64 eight_pixels(u32 b) {
    u64 spread = ((u64)b * 0x0101010101010101ull) & 0x8040201008040201ull;
    return (((spread + 0x7F7F7F7F7F7F7F7Full) | spread) >> 7 & 0x0101010101010101ull) * 0xFF;
}

#define MAX_LAYERS 6
struct Layers {
    Mask mask[MAX_LAYERS];
    u8 colour[MAX_LAYERS];
    i32 count;
};

INLINE void layers_begin(Layers& l, Mask range, i32 colour) {
    l.mask[0] = range;
    l.colour[0] = (u8)colour;
    l.count = 1;
}

INLINE void layers_add(Layers& l, Mask m, i32 colour) {
    l.mask[l.count] = m;
    l.colour[l.count++] = (u8)colour;
}

INLINE void layers_word(const Layers& l, u8* row, i32 word, i32 bytes) {
    for (i32 b = 0; b < bytes; b++) {
        u64* eight = (u64*)(row + word * 64 + b * 8);
        u64 old = *eight;
        for (i32 n = 0; n < l.count; n++) {
            u64 w = word == 0 ? l.mask[n].w0 : word == 1 ? l.mask[n].w1 : l.mask[n].w2;
            u32 bits = (u32)(w >> (b * 8)) & 0xFF;
            if (bits) {
                u64 m = eight_pixels(bits);
                old = (old & ~m) | (m & (l.colour[n] * 0x0101010101010101ull));
            }
        }
        *eight = old;
    }
}

INLINE void layers_end(const Layers& l, u8* row) {
    layers_word(l, row, 0, 8);
    layers_word(l, row, 1, 8);
    layers_word(l, row, 2, 4);
}
#endif

INLINE void paint_span(u8* row, i32 x0, i32 x1, i32 colour) {
    for (i32 x = x0; x < x1; x++) row[x] = (u8)colour;
}

INLINE void copy_rows(u8* to, const u8* from, i32 rows) {
    for (i32 n = 0; n < rows * PIXELS / 8; n++) ((u64*)to)[n] = ((const u64*)from)[n];
}

INLINE void copy_row(u8* to, const u8* from) {
#ifdef __CUDACC__
    for (i32 n = 0; n < PIXELS / 8; n++) ((u64*)to)[n] = ((const u64*)from)[n];
#else
    memcpy(to, from, PIXELS);
#endif
}
