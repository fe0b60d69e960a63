// Cartridges: which byte of the ROM, or of the cartridge's own RAM, answers at an address with A12 set. Hot spots
// act on any access, before the byte is fetched.
#pragma once
#include "console.h"

#define HAS_CART_RAM (CARTRIDGE == CART_F8SC || CARTRIDGE == CART_F6SC)

INLINE void cart_reset(Console& s, i32 cyc) {
#if CARTRIDGE == CART_F8 || CARTRIDGE == CART_F8SC || CARTRIDGE == CART_DPC
    s.bank = 1;
#elif CARTRIDGE == CART_E0
    s.slice0 = 4;
    s.slice1 = 5;
    s.slice2 = 6;
#else
    s.bank = 0;
#endif
#if CARTRIDGE == CART_DPC
    s.dpc.music_clock = cyc;
    s.dpc.music_fraction = 0;
#endif
    (void)cyc;
}

INLINE void cart_hot_spot(Console& s, i32 i) {
#if CARTRIDGE == CART_F8 || CARTRIDGE == CART_F8SC || CARTRIDGE == CART_DPC
    if (i == 0xFF8) s.bank = 0;
    if (i == 0xFF9) s.bank = 1;
#elif CARTRIDGE == CART_F6 || CARTRIDGE == CART_F6SC
    if (i >= 0xFF6 && i <= 0xFF9) s.bank = i - 0xFF6;
#elif CARTRIDGE == CART_E0
    if (i >= 0xFE0 && i <= 0xFE7) s.slice0 = i & 7;
    if (i >= 0xFE8 && i <= 0xFEF) s.slice1 = i & 7;
    if (i >= 0xFF0 && i <= 0xFF7) s.slice2 = i & 7;
#endif
    (void)s;
    (void)i;
}

#if CARTRIDGE == CART_DPC
INLINE void dpc_clock(Console& s, i32 i) {
    if (i < 0x80 || i >= 0xFC0) {
        i32 r = s.dpc.random;
        s.dpc.random = ((r << 1) | (1 ^ ((r >> 7) & 1) ^ ((r >> 5) & 1) ^ ((r >> 4) & 1) ^ ((r >> 3) & 1))) & 0xFF;
    }
}

OUTLINE void dpc_music(Console& s, i32 cyc) {
    double n = 15750.0 * (double)(cyc - s.dpc.music_clock) / 1193191.66666667 + s.dpc.music_fraction;
    i32 whole = (i32)n;
    s.dpc.music_fraction = n - whole;
    s.dpc.music_clock = cyc;
    if (whole <= 0) return;
    for (i32 f = 5; f < 8; f++) {
        if (!s.dpc.music[f]) continue;
        i32 top = s.dpc.top[f] + 1, low = s.dpc.counter[f] & 0xFF;
        if (s.dpc.top[f] == 0) {
            low = 0;
        } else {
            low -= whole % top;
            if (low < 0) low += top;
        }
        if (low <= s.dpc.bottom[f])
            s.dpc.flag[f] = 0;
        else if (low <= s.dpc.top[f])
            s.dpc.flag[f] = 0xFF;
        s.dpc.counter[f] = (s.dpc.counter[f] & 0x700) | low;
    }
}

OUTLINE i32 dpc_read(Console& s, const u8* rom, i32 i, i32 cyc) {
    Dpc& d = s.dpc;
    i32 x = i & 7, f = (i >> 3) & 7, result = 0;
    if ((d.counter[x] & 0xFF) == d.top[x])
        d.flag[x] = 0xFF;
    else if ((d.counter[x] & 0xFF) == d.bottom[x])
        d.flag[x] = 0;
    i32 display = rom[8192 + ((2047 - d.counter[x]) & 0x7FF)];
    if (f == 0 && x < 4) {
        result = d.random;
    } else if (f == 0) {
        dpc_music(s, cyc);
        i32 sum = 0;
        for (i32 j = 0; j < 3; j++)
            if (d.music[5 + j] && d.flag[5 + j]) sum |= 1 << j;
        result = sum == 0 ? 0 : sum == 1 ? 4 : sum == 2 ? 5 : sum == 3 ? 9 : sum == 4 ? 6 : sum == 5 ? 10 : sum == 6 ? 11 : 15;
    } else if (f == 1) {
        result = display;
    } else if (f == 2) {
        result = display & d.flag[x];
    } else if (f == 7) {
        result = d.flag[x];
    }
    if (x < 5 || !d.music[x]) d.counter[x] = (d.counter[x] - 1) & 0x7FF;
    return result;
}

OUTLINE void dpc_write(Console& s, i32 i, i32 value) {
    Dpc& d = s.dpc;
    i32 x = i & 7, f = (i >> 3) & 7;
    if (f == 0) {
        d.top[x] = (u8)value;
        d.flag[x] = 0;
    } else if (f == 1) {
        d.bottom[x] = (u8)value;
    } else if (f == 2) {
        d.counter[x] = (d.counter[x] & 0x700) | (x >= 5 && d.music[x] ? d.top[x] : value);
    } else if (f == 3) {
        d.counter[x] = (d.counter[x] & 0xFF) | ((value & 7) << 8);
        if (x >= 5) d.music[x] = (value & 0x10) != 0;
    } else if (f == 6) {
        d.random = 1;
    }
}
#endif

// The byte at `address`, any address with A12 set.
INLINE i32 cart_read(Console& s, const u8* rom, i32 address, i32 cyc) {
    i32 i = address & 0xFFF;
    (void)cyc;
#if CARTRIDGE == CART_2K
    return rom[i & 0x7FF];
#elif CARTRIDGE == CART_4K
    return rom[i];
#elif CARTRIDGE == CART_FE
    return rom[(address & 0x2000) ? i : 0x1000 + i];
#elif CARTRIDGE == CART_E0
    cart_hot_spot(s, i);
    i32 segment = i >> 10;
    i32 slice = segment == 0 ? s.slice0 : segment == 1 ? s.slice1 : segment == 2 ? s.slice2 : 7;
    return rom[(slice << 10) + (i & 0x3FF)];
#elif CARTRIDGE == CART_DPC
    dpc_clock(s, i);
    if (i < 0x40) return dpc_read(s, rom, i, cyc);
    cart_hot_spot(s, i);
    return rom[(s.bank << 12) + i];
#else
    cart_hot_spot(s, i);
    if (HAS_CART_RAM && i >= 0x80 && i < 0x100) return s.cart_ram[i & 0x7F];
    return rom[(s.bank << 12) + i];
#endif
}

INLINE void cart_write(Console& s, i32 address, i32 value) {
    i32 i = address & 0xFFF;
#if CARTRIDGE == CART_DPC
    dpc_clock(s, i);
    if (i >= 0x40 && i < 0x80) dpc_write(s, i, value);
#endif
    cart_hot_spot(s, i);
    if (HAS_CART_RAM && i < 0x80) s.cart_ram[i] = (u8)value;
    (void)value;
}

// Which of the ROM's pieces stands at the address of an instruction.
INLINE i32 code_bank(const Console& s, i32 pc) {
#if CARTRIDGE == CART_2K || CARTRIDGE == CART_4K || CARTRIDGE == CART_FE
    (void)s, (void)pc;
    return 0;
#elif CARTRIDGE == CART_E0
    i32 segment = (pc >> 10) & 3;
    return segment == 0 ? s.slice0 : segment == 1 ? s.slice1 : segment == 2 ? s.slice2 : 7;
#else
    (void)pc;
    return s.bank;
#endif
}
