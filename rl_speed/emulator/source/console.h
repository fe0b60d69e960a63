// The state of one console: everything that a save must hold and a restore must bring back, except the pictures and
// the random generators, which are arrays of their own (they are large and seldom touched).
//
// Times are in CPU cycles since the frame began (`cyc`) or in colour clocks, three to a cycle. Both start again at
// each frame; times that outlive a frame are shifted then, and wrap at 32 bits as the reference does.
#pragma once
#include "platform.h"

// Cartridge types. CARTRIDGE is one of them, a constant of the compilation.
#define CART_2K 0
#define CART_4K 1
#define CART_F8 2
#define CART_F8SC 3
#define CART_F6 4
#define CART_F6SC 5
#define CART_E0 6
#define CART_FE 7
#define CART_DPC 8

#define CLOCKS_PER_LINE 228
#define BLANK_CLOCKS 68
#define PIXELS 160
#define MAX_ROWS 250
#define PICTURE_BYTES (MAX_ROWS * PIXELS)

// What a row of a picture was drawn from, and what was noticed meanwhile: see rows.h. It lies behind the two pictures; it
// is not saved, and whoever changes pictures sets it to 0.
#ifdef __CUDACC__
#define PICTURES_BYTES (2 * PICTURE_BYTES)
#else
struct DrawnRow {
    u64 key;          // of the registers and writes; 0: unknown
    u16 found;        // collisions
    u16 closed;       // latches that were set before, and so were not looked at
    i32 same_line;    // Frame::same_line after it
};
#define PICTURES_BYTES (2 * PICTURE_BYTES + 2 * MAX_ROWS * (i32)sizeof(DrawnRow))
#endif
#define NEVER 0x7FFFFFFF
#define RULE_VARIABLES 24
#define TIA_REGISTERS 0x40

struct Dpc {
    i32 random, music_clock;
    double music_fraction;
    u8 top[8], bottom[8], flag[8], music[8];
    i32 counter[8];
};

struct Console {
    // 6507. Flags N and Z are kept as the value that they were taken from: bit 7 of flag_n, and flag_z == 0.
    i32 cyc, pc, a, x, y, sp, flag_n, flag_z, flag_c, flag_v, flag_d, flag_i, jammed;

    // RIOT 6532
    i32 timer_value, timer_shift, timer_set, timer_expired, timer_read, timer_is_random;
    i32 riot_register_1;

    // Switches and controllers, as the program sees them
    i32 swcha, swchb, fire_left, fire_right, paddle0, paddle1, paddle0_cycles, paddle1_cycles, detecting;

    // TIA: frame and picture
    i32 line0;               // clock at which line 0 of the frame starts: 0 or negative
    i32 drawn;               // the picture is complete up to this clock
    i32 row0_line;           // the line that is row 0 of the picture
    i32 finish;              // a VSYNC that ends at or after this clock ends the frame
    i32 lines_of_last_frame; // its parity is the colour loss of PAL
    i32 unfinished;          // the last frame call ran out of instructions
    i32 picture;             // which of the two pictures is being drawn
    i32 line_limit, height, is_pal;
    i32 careful;             // steps to come of which every frame is drawn, with all its edges: one was cut off

    // TIA: what a line is drawn from
    i32 vblank;
    i32 nusiz0, nusiz1, colup0, colup1, colupf, colubk, ctrlpf, reflect, refp0, refp1, pf;
    i32 grp0, grp1, grp0_delayed, grp1_delayed, enam0, enam1, enabl, enabl_delayed;
    i32 hmp0, hmp1, hmm0, hmm1, hmbl, vdelp0, vdelp1, vdelbl, resmp0, resmp1;
    i32 pos_p0, pos_p1, pos_m0, pos_m1, pos_bl;
    i32 skip_p0, skip_p1;    // the player's first copy is not drawn until the end of the line
    i32 comb;
    i32 drift, drift_count, m0_override; // override: 0 none, 1 at least two pixels wide, 2 not drawn

    // TIA: the rest
    i32 dump_on, dump_off, collisions, last_hmove;

    // Cartridge
    i32 bank, slice0, slice1, slice2;

    // Agent and rule
    i32 frame_number, episode_frame_number, sticky_action, sticky_step, mode, difficulty, frames_left;
    i32 rule[RULE_VARIABLES];

    alignas(8) u8 written[TIA_REGISTERS];  // what the program wrote last, whether it has acted yet or not
    alignas(8) u8 ram[128];
    u8 cart_ram[128];
#if CARTRIDGE == CART_DPC
    Dpc dpc;
#endif
};

// A copy, word by word: as one assignment it is unrolled on the GPU, into more registers than there are.
INLINE void copy_words(Console& to, const Console& from) {
#ifdef __CUDACC__
#pragma unroll 4
    for (u32 k = 0; k < sizeof(Console) / 4; k++) ((u32*)&to)[k] = ((const u32*)&from)[k];
#else
    to = from;
#endif
}

// Three mt19937: what the console draws from at power-on and reset, sticky actions, and the number of no-ops.
#define GENERATOR_WORDS 625
struct Generators {
    u32 system[GENERATOR_WORDS], sticky[GENERATOR_WORDS], noop[GENERATOR_WORDS];
};
