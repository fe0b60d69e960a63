// The TIA's picture. The processor only notes what it wrote and when (Frame::log); `replay` goes through the notes in
// order, draws up to each write with the registers as they were, and then lets the write act. It must have caught up
// when a collision register is read and when the frame ends.
#pragma once
#include "console.h"
#include "mask.h"
#include "paint.h"

#ifndef LOG_ENTRIES
#define LOG_ENTRIES 512
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

struct LogEntry {
    i32 cyc;
    u8 address, value;
};

struct Frame {
    const u8* rom;
    u8* coverage;     // per bank and address: 1 an instruction was run there, 2 after a jump that did not name it
    u8* picture;      // MAX_ROWS x PIXELS palette values, the one being drawn
    i32 drawing;      // DRAW_...
    i32 wants_exactness;  // this frame cannot be drawn right but with DRAW_EXACTLY
    i32 cycle_limit;  // a TIA write from here on ends the frame
    i32 entries;
    i32 window_start, window_end;  // clocks
    i32 dirty;        // objects whose pixels below are not those of the registers
    i32 same_line;    // the line above was drawn in one piece with the registers as they are
    Mask p0, p1, m0, m1, bl, pf;
    LogEntry log[LOG_ENTRIES];
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

OUTLINE void refresh_objects(const Console& s, Frame& f) {
    if (f.dirty & P0) f.p0 = player_pixels(pattern_p0(s), s.refp0, s.pos_p0, s.nusiz0, s.skip_p0);
    if (f.dirty & P1) f.p1 = player_pixels(pattern_p1(s), s.refp1, s.pos_p1, s.nusiz1, s.skip_p1);
    if (f.dirty & M0) {
        i32 size = (s.nusiz0 >> 4) & 3;
        if (s.m0_override == 1) size |= 1;
        f.m0 = s.enam0 && !s.resmp0 && s.m0_override != 2
                   ? repeated(((u64)1 << (1 << size)) - 1, s.pos_m0, s.nusiz0, false)
                   : no_pixels();
    }
    if (f.dirty & M1)
        f.m1 = s.enam1 && !s.resmp1 ? repeated(((u64)1 << (1 << ((s.nusiz1 >> 4) & 3))) - 1, s.pos_m1, s.nusiz1, false)
                                    : no_pixels();
    if (f.dirty & BL)
        f.bl = (s.vdelbl ? s.enabl_delayed : s.enabl)
                   ? pixels_at(((u64)1 << (1 << ((s.ctrlpf >> 4) & 3))) - 1, s.pos_bl)
                   : no_pixels();
    if (f.dirty & PF) f.pf = playfield_pixels((u32)s.pf, s.reflect);
    f.dirty = 0;
}

// Collision latches, two to a register in the order of the read addresses: bit 2*r of register r's bit 6, 2*r+1 of 7.
INLINE i32 touching(i32 latch, Mask p, Mask q) { return any(p & q) ? latch : 0; }

INLINE void notice_collisions(Console& s, const Frame& f, i32 enabled, Mask range) {
    i32 c = s.collisions;
    if (enabled & P0) {
        Mask p0 = f.p0 & range;
        if (any(p0)) {
            if (enabled & M0) c |= touching(1 << 0, p0, f.m0);
            if (enabled & M1) c |= touching(1 << 3, p0, f.m1);
            if (enabled & BL) c |= touching(1 << 4, p0, f.bl);
            if (enabled & PF) c |= touching(1 << 5, p0, f.pf);
            if (enabled & P1) c |= touching(1 << 15, p0, f.p1);
        }
    }
    if (enabled & P1) {
        Mask p1 = f.p1 & range;
        if (any(p1)) {
            if (enabled & M0) c |= touching(1 << 1, p1, f.m0);
            if (enabled & M1) c |= touching(1 << 2, p1, f.m1);
            if (enabled & BL) c |= touching(1 << 6, p1, f.bl);
            if (enabled & PF) c |= touching(1 << 7, p1, f.pf);
        }
    }
    if (enabled & M0) {
        Mask m0 = f.m0 & range;
        if (enabled & BL) c |= touching(1 << 8, m0, f.bl);
        if (enabled & PF) c |= touching(1 << 9, m0, f.pf);
        if (enabled & M1) c |= touching(1 << 14, m0, f.m1);
    }
    if (enabled & M1) {
        Mask m1 = f.m1 & range;
        if (enabled & BL) c |= touching(1 << 10, m1, f.bl);
        if (enabled & PF) c |= touching(1 << 11, m1, f.pf);
    }
    if ((enabled & (BL | PF)) == (BL | PF)) c |= touching(1 << 13, f.bl & range, f.pf);
    s.collisions = c;
}

// Colours of the playfield left and right of the middle, for a piece in which `enabled` objects are on.
INLINE bool playfield_has_score_colours(const Console& s, i32 enabled) {
    return (s.ctrlpf & 2) && (!(s.ctrlpf & 4) || enabled == PF);
}

INLINE void paint_objects(const Console& s, const Frame& f, u8* row, i32 enabled, Mask range) {
    const Mask left = {~(u64)0, 0xFFFF, 0};
    Layers layers;
    layers_begin(layers, range, s.colubk);
    if (s.ctrlpf & 4) {
        if (enabled & (P1 | M1)) layers_add(layers, (f.p1 | f.m1) & range, s.colup1);
        if (enabled & (P0 | M0)) layers_add(layers, (f.p0 | f.m0) & range, s.colup0);
        if (enabled & BL) layers_add(layers, f.bl & range, s.colupf);
    } else if (enabled & BL) {
        layers_add(layers, f.bl & range, s.colupf);
    }
    if (enabled & PF) {
        if (playfield_has_score_colours(s, enabled)) {
            layers_add(layers, f.pf & range & left, s.colup0);
            layers_add(layers, without(f.pf & range, left), s.colup1);
        } else {
            layers_add(layers, f.pf & range, s.colupf);
        }
    }
    if (!(s.ctrlpf & 4)) {
        if (enabled & (P1 | M1)) {
            Mask m = (f.p1 | f.m1) & range;
            layers_add(layers, (s.ctrlpf & 2) ? without(m, f.pf & left) : m, s.colup1);
        }
        if (enabled & (P0 | M0)) layers_add(layers, (f.p0 | f.m0) & range, s.colup0);
    }
    layers_end(layers, row);
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

// Clocks h0 <= h < h1 of one line.
OUTLINE void draw_piece(Console& s, Frame& f, i32 line, i32 h0, i32 h1) {
    i32 x0 = h0 < BLANK_CLOCKS ? 0 : h0 - BLANK_CLOCKS, x1 = h1 < BLANK_CLOCKS ? 0 : h1 - BLANK_CLOCKS;
    i32 row_index = line - s.row0_line;
    bool paints = f.drawing != DRAW_NOTHING && row_index >= 0 && row_index < MAX_ROWS;
    u8* row = f.picture + row_index * PIXELS;
    if (x1 > x0) {
        if (s.vblank & 2) {
            if (paints) paint_span(row, x0, x1, 0);
        } else {
            if (f.dirty) refresh_objects(s, f);
            i32 enabled = enabled_objects(s);
            Mask range = pixels_below(x1);
            if (x0 > 0) range = without(range, pixels_below(x0));
            if (enabled & (enabled - 1)) notice_collisions(s, f, enabled, range);
            if (paints) {
                paint_objects(s, f, row, enabled, range);
                if (f.drawing == DRAW_EXACTLY && (x1 & 3)) paint_rest_of_group(s, f, row, enabled, x0, x1);
            }
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
OUTLINE void end_line(Console& s, Frame& f) {
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

OUTLINE void draw_lines(Console& s, Frame& f, i32 target) {
    i32 line = (s.drawn - s.line0) / CLOCKS_PER_LINE;
    i32 line_start = s.line0 + line * CLOCKS_PER_LINE;
    while (s.drawn < target) {
        i32 line_end = line_start + CLOCKS_PER_LINE;
        i32 end = target < line_end ? target : line_end;
        if (s.drawn == line_start && s.drawn > f.window_start) {
            if ((s.reflect ^ (s.ctrlpf & 1)) | s.skip_p0 | s.skip_p1 | s.drift) end_line(s, f);
        }
        bool whole = s.drawn == line_start && end == line_end;
        if (whole && f.same_line && !s.comb) {
            i32 row = line - s.row0_line;
            if (f.drawing != DRAW_NOTHING && row > 0 && row < MAX_ROWS)
                copy_row(f.picture + row * PIXELS, f.picture + (row - 1) * PIXELS);
        } else {
            bool combed = s.comb != 0;
            draw_piece(s, f, line, s.drawn - line_start, end - line_start);
            f.same_line = whole && !combed;
        }
        s.drawn = end;
        line++;
        line_start = line_end;
    }
}

// Nothing happens before the window; at its end, drawing stops.
INLINE void draw_to(Console& s, Frame& f, i32 target) {
    if (target > f.window_end) target = f.window_end;
    if (target < f.window_start || s.drawn >= target) return;
    draw_lines(s, f, target);
}

// Pixels that HMOVE at cycle c of a line adds to a position whose motion register holds the nibble v.
INLINE i32 motion(i32 c, i32 v) {
    i32 m = v < 8 ? -v : 16 - v;
    if (c <= 20) {
        i32 least = (3 * c - 35 + 60) / 4 - 15;  // floor, kept positive before the division
        return m > least ? m : least;
    }
    if (c <= 53) return 0;
    if (c <= 74) {
        i32 moved = m - ((3 * c - 187 + 60) / 4 - 15);
        return moved < 0 ? moved : 0;
    }
    return m;
}

INLINE i32 moved(i32 position, i32 by) {
    position += by;
    return position < 0 ? position + PIXELS : wrapped(position);
}

INLINE void move_all(Console& s, Frame& f, i32 clock, i32 hpos) {
    i32 c = hpos / 3;
    s.pos_p0 = moved(s.pos_p0, motion(c, s.hmp0));
    s.pos_p1 = moved(s.pos_p1, motion(c, s.hmp1));
    s.pos_m0 = moved(s.pos_m0, motion(c, s.hmm0));
    s.pos_m1 = moved(s.pos_m1, motion(c, s.hmm1));
    s.pos_bl = moved(s.pos_bl, motion(c, s.hmbl));
    s.skip_p0 = s.skip_p1 = s.m0_override = s.drift = 0;
    s.last_hmove = clock;
#if HMOVE_COMB
    if (c <= 20 || c == 75) s.comb = 1;
#endif
    f.dirty |= P0 | P1 | M0 | M1 | BL;
}

// A player's position register strobed: where in the line the player is at that moment decides whether its first copy
// is still drawn in this line.
INLINE void place_player(Console& s, Frame& f, i32 clock, i32 hpos, i32 nusiz, i32 object, i32& position, i32& skip) {
    i32 next = hpos < BLANK_CLOCKS ? 3 : (hpos - 63) % PIXELS;
    i32 distance = next - position;
    if (distance < 0) distance += PIXELS;
    i32 mode = nusiz & 7, width = mode == 5 ? 16 : mode == 7 ? 32 : 8, copies = copies_of(nusiz);
    bool within = false, about_to = false;
    for (i32 n = 0; n < 5; n++) {
        if (!((copies >> n) & 1)) continue;
        i32 since = distance - 16 * n;
        if (since >= 4 && since < 4 + width) within = true;
        if (since >= 0 && since < 4) about_to = true;
    }
    if (within) draw_to(s, f, clock + 11);
    position = next;
    skip = within || !about_to;
    f.dirty |= object;
}

INLINE i32 strobed(i32 hpos) { return hpos < BLANK_CLOCKS ? 2 : (hpos - 64) % PIXELS; }

INLINE i32 colour_of(const Console& s, i32 value) {
    return (value & 0xFE) | (s.is_pal & s.lines_of_last_frame & 1);
}

INLINE i32 missile_on_player(i32 player, i32 nusiz) {
    i32 mode = nusiz & 7;
    return wrapped(player + (mode == 5 ? 8 : mode == 7 ? 16 : 4));
}

// A register that is only kept: nothing to draw for, and nothing to do, if it holds the value already.
#define KEPT(name, new_value, delay, objects)      \
    {                                              \
        i32 next = (new_value);                    \
        if (s.name != next) {                      \
            draw_to(s, f, clock + (delay));        \
            s.name = next;                         \
            f.dirty |= (objects);                  \
            f.same_line = 0;                       \
        } else if (exactly) {                      \
            draw_to(s, f, clock + (delay));        \
        }                                          \
    }                                              \
    break

#define PF_DELAY (((hpos / 3) & 3) == 0 ? 4 : ((hpos / 3) & 3) == 1 ? 5 : ((hpos / 3) & 3) == 2 ? 2 : 3)

INLINE void tia_act(Console& s, Frame& f, i32 address, i32 value, i32 clock, i32 hpos) {
    const bool exactly = f.drawing == DRAW_EXACTLY;
    switch (address) {
        case 0x01: KEPT(vblank, value, 1, 0);
        case 0x04:
            if (exactly || s.nusiz0 != value || s.skip_p0 || s.m0_override || s.drift) {
                draw_to(s, f, clock + 8);
                s.nusiz0 = value;
                s.skip_p0 = s.m0_override = 0;
                f.dirty |= P0 | M0;
                f.same_line = 0;
            }
            break;
        case 0x05:
            if (exactly || s.nusiz1 != value || s.skip_p1) {
                draw_to(s, f, clock + 8);
                s.nusiz1 = value;
                s.skip_p1 = 0;
                f.dirty |= P1 | M1;
                f.same_line = 0;
            }
            break;
        case 0x06: KEPT(colup0, colour_of(s, value), 0, 0);
        case 0x07: KEPT(colup1, colour_of(s, value), 0, 0);
        case 0x08: KEPT(colupf, colour_of(s, value), 0, 0);
        case 0x09: KEPT(colubk, colour_of(s, value), 0, 0);
        case 0x0A:
            if (exactly || s.ctrlpf != value || s.reflect != (value & 1)) {
                draw_to(s, f, clock);
                s.ctrlpf = value;
                if (hpos < 147) s.reflect = value & 1;
                f.dirty |= BL | PF;
                f.same_line = 0;
            }
            break;
        case 0x0B: KEPT(refp0, (value >> 3) & 1, 1, P0);
        case 0x0C: KEPT(refp1, (value >> 3) & 1, 1, P1);
        case 0x0D: KEPT(pf, (s.pf & 0xFFFF0) | (value >> 4), PF_DELAY, PF);
        case 0x0E: KEPT(pf, (s.pf & 0xFF00F) | ((i32)reversed_byte((u32)value) << 4), PF_DELAY, PF);
        case 0x0F: KEPT(pf, (s.pf & 0x00FFF) | (value << 12), PF_DELAY, PF);
        case 0x10:
            draw_to(s, f, clock);
            place_player(s, f, clock, hpos, s.nusiz0, P0, s.pos_p0, s.skip_p0);
            f.same_line = 0;
            break;
        case 0x11:
            draw_to(s, f, clock);
            place_player(s, f, clock, hpos, s.nusiz1, P1, s.pos_p1, s.skip_p1);
            f.same_line = 0;
            break;
        case 0x12: {
            draw_to(s, f, clock + 8);
            s.pos_m0 = (u32)clock - (u32)s.last_hmove == 60 && hpos == 69 ? 8 : strobed(hpos);
            s.m0_override = 0;
            f.dirty |= M0;
            f.same_line = 0;
            break;
        }
        case 0x13:
            draw_to(s, f, clock + 8);
            s.pos_m1 = (u32)clock - (u32)s.last_hmove == 9 && hpos == 18 ? 3 : strobed(hpos);
            f.dirty |= M1;
            f.same_line = 0;
            break;
        case 0x14: {
            draw_to(s, f, clock);
            u32 since = (u32)clock - (u32)s.last_hmove;
            s.pos_bl = since == 54 && (hpos == 60 || hpos == 69) ? 10
                       : since == 9 && hpos == 18                ? 3
                       : since == 21 && hpos == 30               ? 6
                       : since == 18 && hpos == 27               ? 5
                                                                 : strobed(hpos);
            f.dirty |= BL;
            f.same_line = 0;
            break;
        }
        case 0x1B:
            if (s.grp0 != value || s.grp1_delayed != s.grp1) {
                draw_to(s, f, clock + 1);
                s.grp0 = value;
                s.grp1_delayed = s.grp1;
                f.dirty |= P0 | P1;
                f.same_line = 0;
            } else if (exactly) {
                draw_to(s, f, clock + 1);
            }
            break;
        case 0x1C:
            if (s.grp1 != value || s.grp0_delayed != s.grp0 || s.enabl_delayed != s.enabl) {
                draw_to(s, f, clock + 1);
                s.grp1 = value;
                s.grp0_delayed = s.grp0;
                s.enabl_delayed = s.enabl;
                f.dirty |= P0 | P1 | BL;
                f.same_line = 0;
            } else if (exactly) {
                draw_to(s, f, clock + 1);
            }
            break;
        case 0x1D: KEPT(enam0, (value >> 1) & 1, 0, M0);
        case 0x1E: KEPT(enam1, (value >> 1) & 1, 0, M1);
        case 0x1F: KEPT(enabl, (value >> 1) & 1, 0, BL);
        case 0x20:
            if (exactly) draw_to(s, f, clock);
            s.hmp0 = value >> 4;
            break;
        case 0x21:
            if (exactly) draw_to(s, f, clock);
            s.hmp1 = value >> 4;
            break;
        case 0x22:
            if (exactly) draw_to(s, f, clock);
            if ((value >> 4) == 6 && s.hmm0 == 7 && (u32)clock - (u32)s.last_hmove == 63) {
                draw_to(s, f, clock);
                s.drift = 1;
                s.drift_count = 0;
            }
            s.hmm0 = value >> 4;
            break;
        case 0x23:
            if (exactly) draw_to(s, f, clock);
            s.hmm1 = value >> 4;
            break;
        case 0x24:
            if (exactly) draw_to(s, f, clock);
            s.hmbl = value >> 4;
            break;
        case 0x25: KEPT(vdelp0, value & 1, 0, P0);
        case 0x26: KEPT(vdelp1, value & 1, 0, P1);
        case 0x27: KEPT(vdelbl, value & 1, 0, BL);
        case 0x28:
            if (exactly || s.resmp0 != ((value >> 1) & 1) || s.m0_override || s.drift) {
                draw_to(s, f, clock);
                if (s.resmp0 && !(value & 2)) s.pos_m0 = missile_on_player(s.pos_p0, s.nusiz0);
                s.resmp0 = (value >> 1) & 1;
                s.m0_override = 0;
                f.dirty |= M0;
                f.same_line = 0;
            }
            break;
        case 0x29:
            if (exactly || s.resmp1 != ((value >> 1) & 1)) {
                draw_to(s, f, clock);
                if (s.resmp1 && !(value & 2)) s.pos_m1 = missile_on_player(s.pos_p1, s.nusiz1);
                s.resmp1 = (value >> 1) & 1;
                f.dirty |= M1;
                f.same_line = 0;
            }
            break;
        case 0x2A:
            draw_to(s, f, clock);
            move_all(s, f, clock, hpos);
            f.same_line = 0;
            break;
        case 0x2B:
            if (exactly) draw_to(s, f, clock);
            s.hmp0 = s.hmp1 = s.hmm0 = s.hmm1 = s.hmbl = 0;
            break;
        case 0x2C:
            // The next line may look like this one, but its collisions are news again.
            draw_to(s, f, clock);
            s.collisions = 0;
            f.same_line = 0;
            break;
        default:
            // VSYNC, WSYNC, RSYNC, sound, unused addresses and reads: the picture is brought up to date, no more.
            if (exactly) draw_to(s, f, clock);
    }
}

// Lets everything in the log act.
OUTLINE void replay(Console& s, Frame& f) {
    i32 line_start = s.line0;
    for (i32 n = 0; n < f.entries; n++) {
        i32 clock = 3 * f.log[n].cyc;
        i32 lines = (clock - line_start) / CLOCKS_PER_LINE;
        line_start += lines * CLOCKS_PER_LINE;
        tia_act(s, f, f.log[n].address, f.log[n].value, clock, clock - line_start);
    }
    f.entries = 0;
}

OUTLINE i32 collision_read(Console& s, Frame& f, i32 address, i32 clock) {
    replay(s, f);
    draw_to(s, f, clock);
    return ((s.collisions >> (2 * address)) & 3) << 6;
}
