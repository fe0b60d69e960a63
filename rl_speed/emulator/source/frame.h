// One frame of one console, and the system reset.
#pragma once
#include "cpu.h"
#include "random.h"

// A console with what it works on.
struct Env {
    Console& s;
    Generators& g;
    u8* pictures;     // PICTURES_BYTES
    const u8* rom;
    Frame& f;
    i32 drawing;      // DRAW_..., of the frames to come
    i32 cut;          // a frame was cut off
    i32 inexact;      // a frame's collisions may only be right with DRAW_EXACTLY
    i32 resets;       // system resets
    u8* held;         // the picture after the last but one frame of a step, if the last one went on with it
    i32 paddle_step;  // by how much an action turns a paddle, in ohms
};

INLINE i32 timer_at_reset(u32 drawn) { return 25 + (i32)(drawn % 75); }

INLINE void system_reset(Env& e) {
    Console& s = e.s;
    e.resets++;
    i32 unfinished = s.unfinished, is_pal = s.is_pal, line_limit = s.line_limit, height = s.height;
    s.cyc = s.a = s.x = s.y = s.flag_n = s.flag_c = s.flag_v = s.flag_d = s.flag_i = s.jammed = 0;
    s.sp = 0xFF;
    s.flag_z = 1;
    s.timer_value = timer_at_reset(random_draw(e.g.system));
    s.timer_is_random = 1;
    s.timer_shift = 6;
    s.timer_set = s.timer_read = s.timer_expired = s.riot_register_1 = 0;
    s.line0 = s.drawn = s.row0_line = s.lines_of_last_frame = s.picture = 0;
    s.finish = NEVER;
    // From the dump to the star drift: every register of the TIA.
    i32* first = &s.vblank;
    i32* last = &s.last_hmove;
    for (i32* r = first; r <= last; r++) *r = 0;
    for (i32 k = 0; k < TIA_REGISTERS; k++) s.written[k] = 0;
    s.unfinished = unfinished, s.is_pal = is_pal, s.line_limit = line_limit, s.height = height;
    u64* pixels = (u64*)e.pictures;
    for (i32 k = 0; k < PICTURES_BYTES / 8; k++) pixels[k] = 0;
    cart_reset(s, 0);
#if HAS_CART_RAM
    for (i32 k = 0; k < 128; k++) s.cart_ram[k] = (u8)random_draw(e.g.system);
#endif
    i32 low = cart_read(s, e.rom, 0xFFFC, 0);
    s.pc = low | (cart_read(s, e.rom, 0xFFFD, 0) << 8);
}

INLINE void begin_frame(Console& s) {
    s.picture ^= 1;
    i32 clocks = 3 * s.cyc;
    i32 into_line = (clocks - s.line0) % CLOCKS_PER_LINE;
    // Unsigned, so that they wrap.
    s.timer_set = (i32)((u32)s.timer_set - (u32)s.cyc);
    s.timer_read = (i32)((u32)s.timer_read - (u32)s.cyc);
    s.dump_off = (i32)((u32)s.dump_off - (u32)s.cyc);
    s.last_hmove = (i32)((u32)s.last_hmove - (u32)clocks);
    s.finish = (i32)((u32)s.finish - (u32)clocks);
#if CARTRIDGE == CART_DPC
    s.dpc.music_clock = (i32)((u32)s.dpc.music_clock - (u32)s.cyc);
#endif
    s.cyc = 0;
    s.line0 = -into_line;
    s.row0_line = FIRST_LINE;
    s.drawn = s.line0 + FIRST_LINE * CLOCKS_PER_LINE;
    if (s.is_pal) {
        i32 odd = s.lines_of_last_frame & 1;
        s.colup0 = (s.colup0 & 0xFE) | odd;
        s.colup1 = (s.colup1 & 0xFE) | odd;
        s.colupf = (s.colupf & 0xFE) | odd;
        s.colubk = (s.colubk & 0xFE) | odd;
    }
}

// What is not drawn of a frame that ran out of instructions shows the old picture, darkened.
INLINE void darken_rest(Env& e) {
    Console& s = e.s;
    i32 line = (3 * s.cyc - s.line0) / CLOCKS_PER_LINE;
    if (line < FIRST_LINE) line = FIRST_LINE;
    u8* picture = e.pictures + s.picture * PICTURE_BYTES;
    for (i32 k = (line - FIRST_LINE) * PIXELS; k < s.height * PIXELS; k++) picture[k] = (u8)((picture[k] & 15) >> 1);
    for (i32 row = line - FIRST_LINE; row < s.height; row++) forget_row(e.f, row);
}

OUTLINE void run_frame(Env& e) {
    Console& s = e.s;
    Frame& f = e.f;
    if (!s.unfinished) begin_frame(s);
    f.rom = e.rom;
    f.picture = e.pictures + s.picture * PICTURE_BYTES;
#ifndef __CUDACC__
    f.other_picture = e.pictures + (s.picture ^ 1) * PICTURE_BYTES;
    DrawnRow* rows = (DrawnRow*)(e.pictures + 2 * PICTURE_BYTES);
    f.rows = rows + s.picture * MAX_ROWS;
    f.other_rows = rows + (s.picture ^ 1) * MAX_ROWS;
#endif
    f.drawing = e.drawing;
    f.wants_exactness = 0;
    f.entries = 0;
    f.window_start = s.line0 + FIRST_LINE * CLOCKS_PER_LINE;
    f.window_end = f.window_start + s.height * CLOCKS_PER_LINE;
    f.cycle_limit = (s.line0 + (s.line_limit + 1) * CLOCKS_PER_LINE) / 3;
    f.dirty = P0 | M0 | P1 | M1 | BL | PF;
    f.present[0] = f.present[1] = f.present[2] = 0;
    f.same_line = 0;
    f.line = (s.drawn - s.line0) / CLOCKS_PER_LINE;
    f.line_start = s.line0 + f.line * CLOCKS_PER_LINE;
    bool complete = run_instructions(s, f);
    replay(s, f, f.lanes);
    i32 clock = 3 * s.cyc;
    if (complete) {
        // Drawn up to the write that ended the frame.
        if (e.drawing != DRAW_EXACTLY) draw_to(s, f, clock);
        s.lines_of_last_frame = (clock - s.line0) / CLOCKS_PER_LINE;
        e.cut |= s.drawn < f.window_end;
        s.unfinished = 0;
    } else {
        if (!s.unfinished && e.drawing == DRAW_EXACTLY) darken_rest(e);
        s.unfinished = 1;
        e.cut = 1;
    }
    e.inexact |= f.wants_exactness;
}
