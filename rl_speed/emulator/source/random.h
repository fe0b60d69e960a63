// mt19937 (Matsumoto and Nishimura, 1998): 624 words of state, and the index of the next one as word 624.
#pragma once
#include "console.h"

INLINE void random_seed(u32* g, u32 seed) {
    g[0] = seed;
    for (u32 i = 1; i < 624; i++) g[i] = 1812433253u * (g[i - 1] ^ (g[i - 1] >> 30)) + i;
    g[624] = 624;
}

OUTLINE void random_twist(u32* g) {
    for (i32 i = 0; i < 624; i++) {
        u32 y = (g[i] & 0x80000000u) | (g[i == 623 ? 0 : i + 1] & 0x7FFFFFFFu);
        g[i] = g[i < 227 ? i + 397 : i - 227] ^ (y >> 1) ^ ((y & 1) ? 0x9908B0DFu : 0u);
    }
    g[624] = 0;
}

INLINE u32 random_draw(u32* g) {
    if (g[624] >= 624) random_twist(g);
    u32 y = g[g[624]++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9D2C5680u;
    y ^= (y << 15) & 0xEFC60000u;
    return y ^ (y >> 18);
}
