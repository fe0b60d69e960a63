// Drawing: from the TIA's registers as they are to pixels and collisions, up to a given clock.
#pragma once
#include "console.h"
#include "mask.h"
#include "paint.h"

#ifdef __CUDACC__
// Consoles per block, 32 at most: they share a warp, and take their turns there.
#ifndef LANES
#define LANES 32
#endif
#define LOG_ENTRIES 1024
#define LOG_STRIDE LANES  // the lanes of a warp have their notes side by side: those taken together lie together
#else
#define LOG_ENTRIES 512
#define LOG_STRIDE 1
#endif

enum {
    P0 = 1, M0 = 2, P1 = 4, M1 = 8, BL = 16, PF = 32
};

// How much of the picture is wanted. Collisions are noticed in each.
enum {
    DRAW_NOTHING = 0,  // no pixels
    DRAW_LINES = 1,    // the pixels, unless the frame is cut off in the middle
    DRAW_EXACTLY = 2   // also what a piece leaves behind its end, which only a cut off picture shows
};

#define REGISTER_NONE 0x3F  // a read: the picture is brought up to date, and nothing is written

// A note of the log: a write's cycle, register and value in one word. Later writes, which only a frame without an end
// has, are not kept in the log.
#define LATEST_NOTE (1 << 18)
INLINE u32 note_of(i32 cyc, i32 address, i32 value) { return ((u32)cyc << 14) | (u32)(address << 8) | (u32)value; }
INLINE i32 note_cycle(u32 note) { return (i32)(note >> 14); }
INLINE i32 note_address(u32 note) { return (i32)(note >> 8) & 0x3F; }
INLINE i32 note_value(u32 note) { return (i32)(note & 0xFF); }

struct Frame {
    const u8* rom;
    u8* coverage;     // per bank and address: 1 an instruction was run there, 2 after a jump that did not name it
    u8* picture;      // MAX_ROWS x PIXELS palette values, the one being drawn
#ifndef __CUDACC__
    const u8* other_picture;
    DrawnRow *rows, *other_rows;  // of both
#endif
    i32 drawing;      // DRAW_...
    i32 wants_exactness;  // this frame cannot be drawn right but with DRAW_EXACTLY
    i32 cycle_limit;  // a TIA write from here on ends the frame
    i32 entries;
    i32 window_start, window_end;  // clocks
    i32 line, line_start;  // of the clock up to which the picture is complete
    i32 dirty;        // objects whose pixels below are not those of the registers
    i32 same_line;    // what is seen of the line above was drawn in one piece with the registers as they are
    Mask p0, p1, m0, m1, bl, pf;
    i32 present[WORDS];  // of each word, the objects that have pixels in it
    u32* log;         // LOG_ENTRIES notes, LOG_STRIDE apart
    u32 lanes;        // of the warp that play this frame together; 0: whoever comes
};

INLINE i32 copies_of(i32 nusiz) {  // bit n: a copy at offset 16*n
    i32 mode = nusiz & 7;
    return mode == 1 ? 0x03 : mode == 2 ? 0x05 : mode == 3 ? 0x07 : mode == 4 ? 0x11 : mode == 6 ? 0x15 : 0x01;
}

INLINE i32 wrapped(i32 position) { return position >= PIXELS ? position - PIXELS : position; }

INLINE Mask repeated(u64 bits, i32 position, i32 nusiz, bool skip_first) {
    i32 copies = copies_of(nusiz);
    Mask m = skip_first ? no_pixels() : pixels_at(bits, position);
    if (copies & 0x02) m = m | pixels_at(bits, wrapped(position + 16));
    if (copies & 0x04) m = m | pixels_at(bits, wrapped(position + 32));
    if (copies & 0x10) m = m | pixels_at(bits, wrapped(position + 64));
    return m;
}

INLINE Mask player_pixels(i32 pattern, i32 mirrored, i32 position, i32 nusiz, bool skip_first) {
    u64 bits = mirrored ? (u32)pattern : reversed_byte((u32)pattern);
    i32 mode = nusiz & 7;
    if (mode == 5) {  // each bit twice, a pixel late
        bits = (bits | (bits << 4)) & 0x0F0F;
        bits = (bits | (bits << 2)) & 0x3333;
        bits = (bits | (bits << 1)) & 0x5555;
        bits = (bits * 3) << 1;
    } else if (mode == 7) {
        bits = (fourfold(bits) & 0xFFFFFFFFull) << 1;
    }
    return repeated(bits, position, nusiz, skip_first);
}

INLINE i32 pattern_p0(const Console& s) { return s.vdelp0 ? s.grp0_delayed : s.grp0; }
INLINE i32 pattern_p1(const Console& s) { return s.vdelp1 ? s.grp1_delayed : s.grp1; }

INLINE i32 enabled_objects(const Console& s) {
    return (pattern_p0(s) ? P0 : 0) | (s.enam0 && !s.resmp0 ? M0 : 0) | (pattern_p1(s) ? P1 : 0) |
           (s.enam1 && !s.resmp1 ? M1 : 0) | ((s.vdelbl ? s.enabl_delayed : s.enabl) ? BL : 0) | (s.pf ? PF : 0);
}

INLINE i32 with_or_without(i32 objects, i32 object, bool with) { return with ? objects | object : objects & ~object; }

INLINE void set_object(Frame& f, Mask& mask, i32 object, const Mask& pixels) {
    mask = pixels;
    f.present[0] = with_or_without(f.present[0], object, pixels.w[0] != 0);
    f.present[1] = with_or_without(f.present[1], object, pixels.w[1] != 0);
    f.present[2] = with_or_without(f.present[2], object, pixels.w[2] != 0);
}

OUTLINE void refresh_objects(const Console& s, Frame& f) {
    if (f.dirty & P0)
        set_object(f, f.p0, P0, player_pixels(pattern_p0(s), s.refp0, s.pos_p0, s.nusiz0, s.skip_p0));
    if (f.dirty & P1)
        set_object(f, f.p1, P1, player_pixels(pattern_p1(s), s.refp1, s.pos_p1, s.nusiz1, s.skip_p1));
    if (f.dirty & M0) {
        i32 size = (s.nusiz0 >> 4) & 3;
        if (s.m0_override == 1) size |= 1;
        set_object(f, f.m0, M0,
                   s.enam0 && !s.resmp0 && s.m0_override != 2
                       ? repeated(((u64)1 << (1 << size)) - 1, s.pos_m0, s.nusiz0, false)
                       : no_pixels());
    }
    if (f.dirty & M1)
        set_object(f, f.m1, M1,
                   s.enam1 && !s.resmp1
                       ? repeated(((u64)1 << (1 << ((s.nusiz1 >> 4) & 3))) - 1, s.pos_m1, s.nusiz1, false)
                       : no_pixels());
    if (f.dirty & BL)
        set_object(f, f.bl, BL,
                   (s.vdelbl ? s.enabl_delayed : s.enabl)
                       ? pixels_at(((u64)1 << (1 << ((s.ctrlpf >> 4) & 3))) - 1, s.pos_bl)
                       : no_pixels());
    if (f.dirty & PF) set_object(f, f.pf, PF, playfield_pixels((u32)s.pf, s.reflect));
    f.dirty = 0;
}

// Collision latches, two to a register in the order of the read addresses: bit 2*r of register r's bit 6, 2*r+1 of 7.
enum {
    P0_M0 = 1 << 0, P1_M0 = 1 << 1, P1_M1 = 1 << 2, P0_M1 = 1 << 3, P0_BL = 1 << 4, P0_PF = 1 << 5, P1_BL = 1 << 6,
    P1_PF = 1 << 7, M0_BL = 1 << 8, M0_PF = 1 << 9, M1_BL = 1 << 10, M1_PF = 1 << 11, BL_PF = 1 << 13, M0_M1 = 1 << 14,
    P0_P1 = 1 << 15,
    WITH_P0 = P0_M0 | P0_M1 | P0_BL | P0_PF | P0_P1,
    WITH_M0 = P0_M0 | P1_M0 | M0_BL | M0_PF | M0_M1,
    WITH_P1 = P1_M0 | P1_M1 | P1_BL | P1_PF | P0_P1,
    WITH_M1 = P1_M1 | P0_M1 | M1_BL | M1_PF | M0_M1,
    WITH_BL = P0_BL | P1_BL | M0_BL | M1_BL | BL_PF,
    WITH_PF = P0_PF | P1_PF | M0_PF | M1_PF | BL_PF,
    ALL_LATCHES = WITH_P0 | WITH_M0 | WITH_P1 | WITH_M1 | WITH_BL | WITH_PF
};

// By the set of objects that are on: the latches of which both objects are.
#define LATCHES_OF(e)                                                                                      \
    (i32)(ALL_LATCHES & ~(((e) & P0 ? 0 : WITH_P0) | ((e) & M0 ? 0 : WITH_M0) | ((e) & P1 ? 0 : WITH_P1) | \
                          ((e) & M1 ? 0 : WITH_M1) | ((e) & BL ? 0 : WITH_BL) | ((e) & PF ? 0 : WITH_PF)))
#define FOUR_OF(e) LATCHES_OF(e), LATCHES_OF((e) + 1), LATCHES_OF((e) + 2), LATCHES_OF((e) + 3)
#define SIXTEEN_OF(e) FOUR_OF(e), FOUR_OF((e) + 4), FOUR_OF((e) + 8), FOUR_OF((e) + 12)
CONSTANT i32 LATCHES[64] = {SIXTEEN_OF(0), SIXTEEN_OF(16), SIXTEEN_OF(32), SIXTEEN_OF(48)};

INLINE i32 touching(i32 latch, u64 p, u64 q) { return p & q ? latch : 0; }

// In one word of a line; `open`: latches that can still be set there.
INLINE void notice_collisions(Console& s, const Frame& f, i32 open, i32 n, u64 range) {
    const u64 p0 = f.p0.w[n] & range, m0 = f.m0.w[n] & range, p1 = f.p1.w[n] & range, m1 = f.m1.w[n] & range;
    const u64 bl = f.bl.w[n] & range, pf = f.pf.w[n];
    i32 c = 0;
    if (open & WITH_P0)
        c |= touching(P0_M0, p0, m0) | touching(P0_M1, p0, m1) | touching(P0_BL, p0, bl) | touching(P0_PF, p0, pf) |
             touching(P0_P1, p0, p1);
    if (open & (P1_M0 | P1_M1 | P1_BL | P1_PF))
        c |= touching(P1_M0, p1, m0) | touching(P1_M1, p1, m1) | touching(P1_BL, p1, bl) | touching(P1_PF, p1, pf);
    if (open & (M0_BL | M0_PF | M0_M1))
        c |= touching(M0_BL, m0, bl) | touching(M0_PF, m0, pf) | touching(M0_M1, m0, m1);
    if (open & (M1_BL | M1_PF)) c |= touching(M1_BL, m1, bl) | touching(M1_PF, m1, pf);
    if (open & BL_PF) c |= touching(BL_PF, bl, pf);
    s.collisions |= c;
}

// Colours of the playfield left and right of the middle, for a piece in which `enabled` objects are on.
INLINE bool playfield_has_score_colours(const Console& s, i32 enabled) {
    return (s.ctrlpf & 2) && (!(s.ctrlpf & 4) || enabled == PF);
}

// One word of a row. `here`: the objects with pixels in it; `score`: the playfield has the players' colours.
INLINE void paint_objects(const Console& s, const Frame& f, u8* row, i32 here, bool score, i32 n, u64 range) {
    const u64 left = n == 0 ? ~(u64)0 : n == 1 ? 0xFFFF : 0;
    Layers layers;
    layers_begin(layers, range, s.colubk);
    if (s.ctrlpf & 4) {
        if (here & (P1 | M1)) layers_add(layers, (f.p1.w[n] | f.m1.w[n]) & range, s.colup1);
        if (here & (P0 | M0)) layers_add(layers, (f.p0.w[n] | f.m0.w[n]) & range, s.colup0);
        if (here & BL) layers_add(layers, f.bl.w[n] & range, s.colupf);
    } else if (here & BL) {
        layers_add(layers, f.bl.w[n] & range, s.colupf);
    }
    if (here & PF) {
        if (score) {
            layers_add(layers, f.pf.w[n] & range & left, s.colup0);
            layers_add(layers, f.pf.w[n] & range & ~left, s.colup1);
        } else {
            layers_add(layers, f.pf.w[n] & range, s.colupf);
        }
    }
    if (!(s.ctrlpf & 4)) {
        if (here & (P1 | M1)) {
            const u64 m = (f.p1.w[n] | f.m1.w[n]) & range;
            layers_add(layers, (s.ctrlpf & 2) ? m & ~(f.pf.w[n] & left) : m, s.colup1);
        }
        if (here & (P0 | M0)) layers_add(layers, (f.p0.w[n] | f.m0.w[n]) & range, s.colup0);
    }
    layers_end(layers, row + 64 * n);
}

// A piece that ends inside a group of four pixels is continued to the end of the group, in some cases.
OUTLINE void paint_rest_of_group(const Console& s, const Frame& f, u8* row, i32 enabled, i32 x0, i32 x1) {
    i32 group = x1 & ~3;
    if (x1 == group || group < x0) return;
    bool score = (s.ctrlpf & 2) != 0;
    bool applies = enabled == PF || enabled == P0 || enabled == P1 || enabled == M0 || enabled == M1 || enabled == BL ||
                   enabled == (P0 | P1) || enabled == (M0 | M1) || enabled == (BL | M0) || enabled == (BL | M1) ||
                   enabled == (BL | P1) ||
                   (!score && (enabled == (PF | P0) || enabled == (PF | P1) || enabled == (PF | BL)));
    if (!applies) return;
    Mask here = without(pixels_below(group + 4), pixels_below(group));
    Mask objects = no_pixels();
    if (enabled & P0) objects = objects | player_pixels(0xFF, 0, s.pos_p0, s.nusiz0, s.skip_p0);
    if (enabled & P1) objects = objects | player_pixels(0xFF, 0, s.pos_p1, s.nusiz1, s.skip_p1);
    if (enabled & M0) objects = objects | f.m0;
    if (enabled & M1) objects = objects | f.m1;
    if (enabled & BL) objects = objects | f.bl;
    if (any(objects & here)) return;
    i32 colour = s.colubk;
    if ((enabled & PF) && any(f.pf & here))
        colour = !playfield_has_score_colours(s, enabled) ? s.colupf : group < 80 ? s.colup0 : s.colup1;
    for (i32 x = x1; x < group + 4; x++) row[x] = (u8)colour;
}

// Pixels x0 <= x < x1 of one line, and the collisions in them.
INLINE void draw_pixels(Console& s, Frame& f, u8* row, i32 x0, i32 x1) {
    if (f.dirty) refresh_objects(s, f);
    const bool exactly = f.drawing == DRAW_EXACTLY;
    const i32 enabled = exactly || (s.ctrlpf & 6) == 6 ? enabled_objects(s) : 0;  // nobody else asks for them
    const bool score = playfield_has_score_colours(s, enabled);
    const Mask range = without(pixels_below(x1), pixels_below(x0));
    for (i32 n = 0; n < WORDS; n++) {
        if (!range.w[n]) continue;
        const i32 open = LATCHES[f.present[n]] & ~s.collisions;  // can still be set
        if (open) notice_collisions(s, f, open, n, range.w[n]);
        paint_objects(s, f, row, f.present[n], score, n, range.w[n]);
    }
    if (exactly && (x1 & 3)) paint_rest_of_group(s, f, row, enabled, x0, x1);
}

// The collisions alone.
INLINE void look_at_pixels(Console& s, Frame& f, i32 x0, i32 x1) {
    if (!(LATCHES[enabled_objects(s)] & ~s.collisions)) return;
    if (f.dirty) refresh_objects(s, f);
    const Mask range = without(pixels_below(x1), pixels_below(x0));
    for (i32 n = 0; n < WORDS; n++) {
        const i32 open = LATCHES[f.present[n]] & ~s.collisions;
        if (open) notice_collisions(s, f, open, n, range.w[n]);
    }
}

// Whoever paints a row says so.
INLINE void forget_row(Frame& f, i32 row) {
#ifndef __CUDACC__
    f.rows[row].key = 0;
#else
    (void)f, (void)row;
#endif
}

// Clocks h0 <= h < h1 of one line.
OUTLINE void draw_piece(Console& s, Frame& f, i32 line, i32 h0, i32 h1) {
    i32 x0 = h0 < BLANK_CLOCKS ? 0 : h0 - BLANK_CLOCKS, x1 = h1 < BLANK_CLOCKS ? 0 : h1 - BLANK_CLOCKS;
    i32 row_index = line - s.row0_line;
    bool paints = f.drawing != DRAW_NOTHING && row_index >= 0 && row_index < MAX_ROWS;
    u8* row = f.picture + row_index * PIXELS;
    if (paints) forget_row(f, row_index);
    if (x1 > x0) {
        if (s.vblank & 2) {
            if (paints) paint_span(row, x0, x1, 0);
        } else if (paints) {
            draw_pixels(s, f, row, x0, x1);
        } else {
            look_at_pixels(s, f, x0, x1);
        }
    }
    if (s.comb) {
        bool passes = x0 < 8 && x1 >= 8;
        if (paints && (passes || f.drawing == DRAW_EXACTLY)) {
            i32 from = h0 >= BLANK_CLOCKS ? h0 : h1 < BLANK_CLOCKS ? h1 : BLANK_CLOCKS;
            i32 end = x0 + BLANK_CLOCKS + 8 - from;
            if (end > x0) paint_span(row, passes ? 0 : x0, end, 0);
        }
        if (passes) s.comb = 0;
    }
}

// What happens when drawing leaves a line.
OUTLINE void end_line_with_news(Console& s, Frame& f) {
    if (s.reflect != (s.ctrlpf & 1)) {
        s.reflect = s.ctrlpf & 1;
        f.dirty |= PF;
        f.same_line = 0;
    }
    if (s.skip_p0 | s.skip_p1) {
        s.skip_p0 = s.skip_p1 = 0;
        f.dirty |= P0 | P1;
        f.same_line = 0;
    }
    if (s.drift) {
        s.drift_count = (s.drift_count + 1) & 3;
        i32 k = s.drift_count;
        i32 position = s.pos_m0 - (k == 0 ? 18 : k == 1 ? 33 : k == 2 ? 0 : 17);
        s.pos_m0 = position < 0 ? position + PIXELS : position;
        s.m0_override = k == 1 || k == 2 ? k : 0;
        f.dirty |= M0;
        f.same_line = 0;
    }
}

INLINE void end_line(Console& s, Frame& f) {
    if ((s.reflect ^ (s.ctrlpf & 1)) | s.skip_p0 | s.skip_p1 | s.drift) end_line_with_news(s, f);
}

OUTLINE void draw_lines(Console& s, Frame& f, i32 target) {
    while (s.drawn < target) {
        const i32 line = f.line, line_start = f.line_start;
        i32 line_end = line_start + CLOCKS_PER_LINE;
        i32 end = target < line_end ? target : line_end;
        if (s.drawn == line_start && s.drawn > f.window_start) end_line(s, f);
        bool whole = s.drawn == line_start && end == line_end;
        if (whole && f.same_line && !s.comb) {
            i32 row = line - s.row0_line;
            if (f.drawing != DRAW_NOTHING && row > 0 && row < MAX_ROWS) {
                copy_row(f.picture + row * PIXELS, f.picture + (row - 1) * PIXELS);
                forget_row(f, row);
            }
        } else {
            const i32 from = s.drawn - line_start, to = end - line_start;
            const bool combed = s.comb != 0;
            // Most writes are made before the line is seen.
            if (to > BLANK_CLOCKS || f.drawing == DRAW_EXACTLY) draw_piece(s, f, line, from, to);
            f.same_line = from <= BLANK_CLOCKS && end == line_end && !combed;
        }
        s.drawn = end;
        if (end == line_end) f.line++, f.line_start = line_end;
    }
}

// Nothing happens before the window; at its end, drawing stops.
INLINE void draw_to(Console& s, Frame& f, i32 target) {
    if (target > f.window_end) target = f.window_end;
    if (target < f.window_start || s.drawn >= target) return;
    draw_lines(s, f, target);
}
