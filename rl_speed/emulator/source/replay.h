// The processor only notes what it wrote to the TIA and when (Frame::log); `replay` lets the notes act in their order. It
// must have caught up when a collision register is read and when the frame ends.
#pragma once
#include "tia.h"
#include "warp.h"

// The start of the line of a clock, which is not before that line.
INLINE i32 line_start_of(i32 clock, i32 line_start) {
    // Most writes are in the line of the last one, or in the next: a division for each was a fifth of a frame's time.
    if (clock - line_start >= CLOCKS_PER_LINE) {
        line_start += CLOCKS_PER_LINE;
        if (clock - line_start >= CLOCKS_PER_LINE)
            line_start += (clock - line_start) / CLOCKS_PER_LINE * CLOCKS_PER_LINE;
    }
    return line_start;
}

#ifdef __CUDACC__

// Lets everything in the log act.
OUTLINE void replay(Console& s, Frame& f, u32 lanes) {
    if (!lanes) lanes = arrived_together();
    i32 line_start = s.line0;
    for (i32 n = 0;;) {
        const bool waits = n < f.entries;
        const u32 note = waits ? f.log[n * LOG_STRIDE] : 0;
        const i32 address = note_address(note), clock = 3 * note_cycle(note);
        const Turn turn = next_turn(lanes, waits, note_cycle(note), address, TURNS_OF_REPLAY);
        if (turn.over) break;
        if (!waits || address != turn.place) continue;
        line_start = line_start_of(clock, line_start);
        tia_act(s, f, address, note_value(note), clock, clock - line_start);
        n++;
    }
    f.entries = 0;
}

#else
#include "rows.h"

OUTLINE void replay(Console& s, Frame& f, u32) {
    i32 line_start = s.line0;
    // A program that reads collisions line by line leaves no line as a whole; and where nothing is painted, a key takes
    // longer than it saves.
    const bool recalls = f.drawing == DRAW_LINES && f.entries > 0 &&
                         note_cycle(f.log[f.entries - 1] - f.log[0]) >= CLOCKS_PER_LINE / 3;
    for (i32 n = 0; n < f.entries;) {
        const u32 note = f.log[n];
        const i32 clock = 3 * note_cycle(note);
        line_start = line_start_of(clock, line_start);
        if (!recalls) {
            tia_act(s, f, note_address(note), note_value(note), clock, clock - line_start);
            n++;
            continue;
        }
        const Line line = look_ahead(f, n, line_start);
        if (can_recall(s, f, line))
            recall_line(s, f, line);
        else
            act_in(s, f, line);
        n = line.end;
    }
    f.entries = 0;
}
#endif

// What the log has no place for.
OUTLINE void note_slowly(Console& s, Frame& f, i32 cyc, i32 address, i32 value) {
    replay(s, f, 0);
    if (cyc < LATEST_NOTE) {
        f.log[0] = note_of(cyc, address, value);
        f.entries = 1;
    } else {
        const i32 clock = 3 * cyc;
        tia_act(s, f, address, value, clock, clock - line_start_of(clock, s.line0));
    }
}

OUTLINE i32 collision_read(Console& s, Frame& f, i32 address, i32 clock) {
    replay(s, f, 0);
    draw_to(s, f, clock);
    return ((s.collisions >> (2 * address)) & 3) << 6;
}
