// A set of pixels of one line: bit x of 160, in three words.
#pragma once
#include "platform.h"

#define WORDS 3
struct Mask {
    u64 w[WORDS];
};

INLINE Mask operator&(Mask p, Mask q) { return {{p.w[0] & q.w[0], p.w[1] & q.w[1], p.w[2] & q.w[2]}}; }
INLINE Mask operator|(Mask p, Mask q) { return {{p.w[0] | q.w[0], p.w[1] | q.w[1], p.w[2] | q.w[2]}}; }
INLINE Mask without(Mask p, Mask q) { return {{p.w[0] & ~q.w[0], p.w[1] & ~q.w[1], p.w[2] & ~q.w[2]}}; }
INLINE bool any(Mask p) { return (p.w[0] | p.w[1] | p.w[2]) != 0; }
INLINE Mask no_pixels() { return {{0, 0, 0}}; }

// Pixels 0 <= x < n.
INLINE Mask pixels_below(i32 n) {
    const u64 all = ~(u64)0;
    Mask m;
    m.w[0] = n >= 64 ? all : ((u64)1 << n) - 1;
    m.w[1] = n >= 128 ? all : n > 64 ? ((u64)1 << (n - 64)) - 1 : 0;
    m.w[2] = n > 128 ? ((u64)1 << (n - 128)) - 1 : 0;
    return m;
}

// Up to 33 pixels, the lowest bit at `position` (0..159), going round at the right edge.
INLINE Mask pixels_at(u64 bits, i32 position) {
    // Without branches: positions of objects are what a processor cannot predict.
    const i32 word = position >> 6, shift = position & 63;
    const u64 low = bits << shift, high = (bits >> 1) >> (63 - shift);
    Mask m;
    m.w[0] = word == 0 ? low : word == 2 ? low >> 32 : 0;
    m.w[1] = word == 1 ? low : word == 0 ? high : 0;
    m.w[2] = (word == 2 ? low : word == 1 ? high : 0) & 0xFFFFFFFFull;
    return m;
}

INLINE u32 reversed_byte(u32 b) {
    b = ((b & 0xF0) >> 4) | ((b & 0x0F) << 4);
    b = ((b & 0xCC) >> 2) | ((b & 0x33) << 2);
    return ((b & 0xAA) >> 1) | ((b & 0x55) << 1);
}

// Every bit of the low 16 four times.
INLINE u64 fourfold(u64 b) {
    b = (b | (b << 24)) & 0x000000FF000000FFull;
    b = (b | (b << 12)) & 0x000F000F000F000Full;
    b = (b | (b << 6)) & 0x0303030303030303ull;
    b = (b | (b << 3)) & 0x1111111111111111ull;
    return b * 15;
}

// Bits b0..b19 of the playfield as pixels 0..79 on the left; on the right the same again, or mirrored.
INLINE Mask playfield_pixels(u32 pf, bool mirrored) {
    u32 right = pf;
    if (mirrored) {
        right = (reversed_byte(pf & 0xFF) << 12) | (reversed_byte((pf >> 8) & 0xFF) << 4) |
                (reversed_byte((pf >> 16) & 0x0F) >> 4);
    }
    u64 left_high = fourfold(pf >> 16), right_high = fourfold(right >> 4);
    Mask m;
    m.w[0] = fourfold(pf & 0xFFFF);
    m.w[1] = left_high | (fourfold(right & 0xFFFF) << 16);  // pixels 64..79 left, 80..127 right bits 0..11
    m.w[2] = right_high >> 32;                              // pixels 128..159: right bits 12..19
    return m;
}
