// Lines that come out as they did before, on the CPU: most of a picture is that of four frames ago. What a line shows is
// a function of registers at its start and of writes in it; those that count are summed up into a key of 64 bits, which
// is kept beside the row that was drawn. Where it is found again, the writes act, but nothing is drawn, and no collision
// is looked for. Two lines that differ have the same key with a chance of about 2^-63; where nothing but the cycles of
// writes differs, which are multiples of 2^14 in a note, of 2^-49.
#pragma once
#include <cstddef>

#include "tia.h"

// What a register or a write counts for: objects, their motion, a playfield in the players' colours, or ALWAYS. Objects
// that cannot be seen in a line move unnoticed, unless that holds up what is written next.
#define ALWAYS 64
#define MOTION(objects) ((objects) << 7)
#define SCORE_COLOURS (1 << 13)

#define FIRST_REGISTER offsetof(Console, vblank)
#define PLACE(name) ((offsetof(Console, name) - FIRST_REGISTER) / sizeof(i32))
#define LINE_REGISTERS 48  // eight at a time; those behind m0_override count for nothing
#define MOST_WRITES 24
#define SUMMANDS (LINE_REGISTERS + MOST_WRITES + 2)
static_assert(PLACE(m0_override) < LINE_REGISTERS, "too many registers");
static_assert(PLACE(dump_on) == PLACE(m0_override) + 1, "a register between them would count for nothing");
static_assert(sizeof(Console) >= FIRST_REGISTER + LINE_REGISTERS * sizeof(i32), "read beyond the console");

typedef u32 Eight __attribute__((vector_size(32)));
typedef u64 EightWide __attribute__((vector_size(64)));

struct LineTables {
    alignas(64) u64 factor[SUMMANDS];
    alignas(32) u32 register_counts[LINE_REGISTERS];
    i32 write_counts[TIA_REGISTERS];

    constexpr LineTables() : factor(), register_counts(), write_counts() {
        u64 state = 0;
        for (i32 k = 0; k < SUMMANDS; k++) {  // numbers that look random: splitmix64 (Steele et al. 2014)
            u64 z = (state += 0x9E3779B97F4A7C15ull);
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
            factor[k] = (z ^ (z >> 31)) | 1;
        }
        u32* r = register_counts;
        for (u32 k = 0; k <= PLACE(m0_override); k++) r[k] = ALWAYS;
        r[PLACE(nusiz0)] = P0 | M0, r[PLACE(nusiz1)] = P1 | M1, r[PLACE(colupf)] = PF | BL;
        r[PLACE(colup0)] = P0 | M0 | SCORE_COLOURS, r[PLACE(colup1)] = P1 | M1 | SCORE_COLOURS;
        r[PLACE(reflect)] = r[PLACE(pf)] = PF;
        r[PLACE(refp0)] = r[PLACE(grp0)] = r[PLACE(grp0_delayed)] = r[PLACE(vdelp0)] = P0;
        r[PLACE(refp1)] = r[PLACE(grp1)] = r[PLACE(grp1_delayed)] = r[PLACE(vdelp1)] = P1;
        r[PLACE(pos_p0)] = r[PLACE(skip_p0)] = P0, r[PLACE(pos_p1)] = r[PLACE(skip_p1)] = P1;
        r[PLACE(enam0)] = r[PLACE(resmp0)] = r[PLACE(pos_m0)] = M0;
        r[PLACE(drift)] = r[PLACE(drift_count)] = r[PLACE(m0_override)] = M0;
        r[PLACE(enam1)] = r[PLACE(resmp1)] = r[PLACE(pos_m1)] = M1;
        r[PLACE(enabl)] = r[PLACE(enabl_delayed)] = r[PLACE(vdelbl)] = r[PLACE(pos_bl)] = BL;
        r[PLACE(hmp0)] = MOTION(P0), r[PLACE(hmp1)] = MOTION(P1);
        r[PLACE(hmm0)] = MOTION(M0), r[PLACE(hmm1)] = MOTION(M1), r[PLACE(hmbl)] = MOTION(BL);
        i32* w = write_counts;
        for (i32 k = 0; k < TIA_REGISTERS; k++) w[k] = ALWAYS;
        w[0x04] = P0 | M0, w[0x05] = P1 | M1, w[0x08] = PF | BL, w[0x0B] = P0, w[0x0C] = P1;
        w[0x06] = P0 | M0 | SCORE_COLOURS, w[0x07] = P1 | M1 | SCORE_COLOURS;
        w[0x10] = P0, w[0x11] = P1, w[0x12] = M0, w[0x13] = M1, w[0x14] = BL;
        w[0x20] = MOTION(P0), w[0x21] = MOTION(P1), w[0x22] = MOTION(M0), w[0x23] = MOTION(M1), w[0x24] = MOTION(BL);
        w[0x2B] = MOTION(P0 | M0 | P1 | M1 | BL);
    }
};
static constexpr LineTables LINE_TABLES;

// The writes of one line.
struct Line {
    i32 start;       // clock
    i32 first, end;  // in the log
    u64 written;     // the set of registers
    u64 shown;       // of these, those that get something else than 0
    bool fits;       // what it shows, and how it leaves the registers, depends on nothing else
};

INLINE u32 base_of(const Line& line) { return (u32)(line.start / 3) << 14; }

#define WRITE(address) ((u64)1 << (address))

// Every write of the line of note `first`, which begins at `start`.
INLINE Line look_ahead(const Frame& f, i32 first, i32 start) {
    Line line = {start, first, first, 0, 0, false};
    const u32 base = base_of(line), limit = base + ((u32)(CLOCKS_PER_LINE / 3) << 14);
    for (; line.end < f.entries && f.log[line.end] < limit; line.end++) {
        const u32 note = f.log[line.end];
        line.written |= WRITE(note_address(note));
        line.shown |= (u64)(note_value(note) != 0) << note_address(note);
    }
    // Nothing acts before the line, in the next one, or on collisions; and the log has what comes after it.
    const i32 first_cycle = note_cycle(f.log[first] - base), last_cycle = note_cycle(f.log[line.end - 1] - base);
    line.fits = line.end < f.entries && line.end - first <= MOST_WRITES && first_cycle > 0 && last_cycle <= 72 &&
                !(line.written & WRITE(0x2C));
    return line;
}

INLINE void act_in(Console& s, Frame& f, const Line& line) {
    for (i32 n = line.first; n < line.end; n++) {
        const u32 note = f.log[n];
        const i32 clock = 3 * note_cycle(note);
        tia_act(s, f, note_address(note), note_value(note), clock, clock - line.start);
    }
}

// What counts in a line: the objects that are seen at its start, and those that a write may show.
INLINE i32 what_counts(const Console& s, const Line& line) {
    const u64 written = line.written, shown = line.shown;
    i32 objects = 0;
    if ((s.enam0 || shown & WRITE(0x1D)) && (!s.resmp0 || written & WRITE(0x28)))
        objects |= written & WRITE(0x28) ? M0 | P0 : M0;
    if ((s.enam1 || shown & WRITE(0x1E)) && (!s.resmp1 || written & WRITE(0x29)))
        objects |= written & WRITE(0x29) ? M1 | P1 : M1;
    if (pattern_p0(s) || shown & WRITE(0x1B) || ((s.grp0 | s.grp0_delayed) && written & (WRITE(0x1C) | WRITE(0x25))))
        objects |= P0;
    if (pattern_p1(s) || shown & WRITE(0x1C) || ((s.grp1 | s.grp1_delayed) && written & (WRITE(0x1B) | WRITE(0x26))))
        objects |= P1;
    if ((s.vdelbl ? s.enabl_delayed : s.enabl) || shown & WRITE(0x1F) ||
        ((s.enabl | s.enabl_delayed) && written & (WRITE(0x1C) | WRITE(0x27))))
        objects |= BL;
    if (s.pf || shown & (WRITE(0x0D) | WRITE(0x0E) | WRITE(0x0F))) objects |= PF;
    // A player that is placed within one of its copies has 11 clocks drawn at once, seen or not, so that what is written
    // next may act later.
    if (written & WRITE(0x10)) objects |= P0;
    if (written & WRITE(0x11)) objects |= P1;
    const bool has_score_colours = objects & PF && (s.ctrlpf & 2 || written & WRITE(0x0A));
    return objects | ALWAYS | (written & WRITE(0x2A) ? MOTION(objects) : 0) | (has_score_colours ? SCORE_COLOURS : 0);
}

INLINE u64 sum_of_registers(const Console& s, i32 counts) {
    EightWide sum = {0};
    for (i32 k = 0; k < LINE_REGISTERS; k += 8) {
        Eight values, needed;
        EightWide factors;
        memcpy(&values, (const u8*)&s + FIRST_REGISTER + k * sizeof(i32), sizeof(values));
        memcpy(&needed, LINE_TABLES.register_counts + k, sizeof(needed));
        memcpy(&factors, LINE_TABLES.factor + k, sizeof(factors));
        values &= (Eight)((needed & (u32)counts) != 0);
        sum += __builtin_convertvector(values, EightWide) * factors;
    }
    u64 total = 0;
    for (i32 k = 0; k < 8; k++) total += sum[k];
    return total;
}

INLINE u64 key_of(const Console& s, const Frame& f, const Line& line) {
    const i32 counts = what_counts(s, line);
    const u64* factor = LINE_TABLES.factor + LINE_REGISTERS;
    u64 key = sum_of_registers(s, counts);
    for (i32 n = line.first; n < line.end; n++) {
        const u32 note = f.log[n];
        if (LINE_TABLES.write_counts[note_address(note)] & counts) key += (u64)(note - base_of(line)) * *factor++;
    }
    // RESM0, RESM1 and RESBL ask whether there was an HMOVE; no longer ago than this.
    const u32 since = (u32)line.start - (u32)s.last_hmove;
    if (since < 64 && line.written & (WRITE(0x12) | WRITE(0x13) | WRITE(0x14)))
        key += (since + 1) * LINE_TABLES.factor[SUMMANDS - 2];
    key += (u64)(s.is_pal & s.lines_of_last_frame & 1) * LINE_TABLES.factor[SUMMANDS - 1];
    return key | 1;
}

INLINE bool is_drawn(const DrawnRow& row, u64 key, i32 collisions) {
    return row.key == key && !(row.closed & ~collisions);
}

INLINE bool can_recall(const Console& s, const Frame& f, const Line& line) {
    return line.fits && s.drawn <= line.start && line.start > f.window_start &&
           line.start + CLOCKS_PER_LINE <= f.window_end;
}

// A line, of which nothing is drawn yet, to its end.
OUTLINE void recall_line(Console& s, Frame& f, const Line& line) {
    draw_to(s, f, line.start);
    const i32 row = f.line - s.row0_line, end = line.start + CLOCKS_PER_LINE;
    const u64 key = key_of(s, f, line);
    DrawnRow& here = f.rows[row];
    const DrawnRow& there = f.other_rows[row];
    const bool is_here = is_drawn(here, key, s.collisions);
    if (!is_here && !is_drawn(there, key, s.collisions)) {
        const i32 before = s.collisions;
        act_in(s, f, line);
        draw_to(s, f, end);
        here = {key, (u16)(s.collisions & ~before), (u16)before, f.same_line};
        return;
    }
    const DrawnRow known = is_here ? here : there;
    if (!is_here) {
        copy_row(f.picture + row * PIXELS, f.other_picture + row * PIXELS);
        here = known;
    }
    s.collisions |= known.found;
    end_line(s, f);
    s.drawn = f.line_start = end;
    f.line++;
    act_in(s, f, line);
    s.comb = 0;  // it is drawn at the left of a line
    f.same_line = known.same_line;
}
