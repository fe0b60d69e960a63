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

INLINE u64 word_of(const Mask& m, i32 word) { return word == 0 ? m.w0 : word == 1 ? m.w1 : m.w2; }
INLINE u32 bits_at(u64 w, i32 pixel) { return (u32)(w >> pixel) & ((1u << PIXELS_AT_ONCE) - 1); }

INLINE void layers_word(const Layers& l, u8* row, i32 word, i32 pixels) {
    for (i32 x = 0; x < pixels; x += PIXELS_AT_ONCE) {
        if (!bits_at(word_of(l.mask[0], word), x)) continue;
        Pixels* place = (Pixels*)(row + word * 64 + x);
        Pixels here = *place;
        for (i32 n = 0; n < l.count; n++) {
            const Pixels m = spread(bits_at(word_of(l.mask[n], word), x));
            here = (here & ~m) | (m & (l.colour[n] * EVERY_PIXEL));
        }
        *place = here;
    }
}

INLINE void layers_end(const Layers& l, u8* row) {
    layers_word(l, row, 0, 64);
    layers_word(l, row, 1, 64);
    layers_word(l, row, 2, 32);
}
#endif

INLINE void paint_span(u8* row, i32 x0, i32 x1, i32 colour) {
#ifndef __CUDACC__
    if (x1 - x0 == 8) {  // a comb
        const u64 pixels = (u64)(u8)colour * 0x0101010101010101ull;
        memcpy(row + x0, &pixels, 8);
        return;
    }
#endif
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
