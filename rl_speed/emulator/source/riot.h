// The RIOT 6532: switches, controllers and the timer. Its RAM is Console::ram.
#pragma once
#include "console.h"

INLINE i32 timer_value(Console& s, i32 cyc) {
    u32 passed = (u32)cyc - 1u - (u32)s.timer_set;
    i32 left = s.timer_value - (i32)(passed >> s.timer_shift) - 1;
    if (left >= 0) return left & 0xFF;
    // Once below zero it counts single cycles, until a read switches the interval back on.
    i32 single = (i32)(((u32)s.timer_value << s.timer_shift) - passed - 1u);
    if (single <= -2 && !s.timer_expired) {
        s.timer_expired = 1;
        s.timer_read = cyc;
    }
    if (!s.timer_expired) return single & 0xFF;
    u32 offset = (u32)s.timer_read - (u32)s.timer_set - ((u32)s.timer_value << s.timer_shift);
    return (i32)((u32)s.timer_value - (passed >> s.timer_shift) - offset) & 0xFF;
}

INLINE i32 timer_flag(const Console& s, i32 cyc) {
    u32 passed = (u32)cyc - 1u - (u32)s.timer_set;
    i32 left = s.timer_value - (i32)(passed >> s.timer_shift) - 1;
    return left >= 0 || s.timer_expired ? 0 : 0x80;
}

INLINE i32 riot_read(Console& s, i32 address, i32 cyc) {
    switch (address & 7) {
        case 0: return s.swcha;
        case 1: return s.riot_register_1;
        case 2: return s.swchb;
        case 3: return 0;
        case 4:
        case 6: return timer_value(s, cyc);
        default: return timer_flag(s, cyc);
    }
}

INLINE void riot_write(Console& s, i32 address, i32 value, i32 cyc) {
    if ((address & 7) == 1) s.riot_register_1 = value;
    if ((address & 0x14) == 0x14) {
        i32 interval = address & 3;
        s.timer_value = value;
        s.timer_shift = interval == 0 ? 0 : interval == 1 ? 3 : interval == 2 ? 6 : 10;
        s.timer_set = cyc;
        s.timer_expired = s.timer_is_random = 0;
    }
}
