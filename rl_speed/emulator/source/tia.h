// What the writes to the TIA do: each draws up to where it acts, with the registers as they were, and then acts.
#pragma once
#include "picture.h"

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

// A colour matters to pixels only.
#define COLOUR(name, new_value)                 \
    if (f.drawing == DRAW_NOTHING) {            \
        s.name = (new_value);                   \
        break;                                  \
    }                                           \
    KEPT(name, new_value, 0, 0)

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
        case 0x06: COLOUR(colup0, colour_of(s, value));
        case 0x07: COLOUR(colup1, colour_of(s, value));
        case 0x08: COLOUR(colupf, colour_of(s, value));
        case 0x09: COLOUR(colubk, colour_of(s, value));
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
