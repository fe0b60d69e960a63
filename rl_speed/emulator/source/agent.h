// What ale does around a console: actions, sticky actions, the rule of the game, resets, loading.
#pragma once
#include "frame.h"

// Actions as ale numbers them; as a set of UP 1, RIGHT 2, LEFT 4, DOWN 8, FIRE 16. RESET only occurs inside resets.
#define ACTIONS 18
#define ACTION_NOOP 0
#define ACTION_FIRE 1
#define ACTION_RESET 18
#define ACTION_SELECT 19
CONSTANT u8 ACTION_SETS[ACTIONS] = {0, 16, 1, 2, 4, 8, 3, 5, 10, 12, 17, 18, 20, 24, 19, 21, 26, 28};

#define PADDLE_LEAST 27450
#define PADDLE_STEP 23000

INLINE i32 charging_cycles(i32 resistance) {
    // In this order: each product is rounded.
    return (i32)(((1.6 * (double)resistance) * 0.01e-6) * 1.19e6);
}

INLINE void set_paddle(Console& s, i32 resistance) {
    s.paddle0 = resistance < PADDLE_LEAST ? PADDLE_LEAST : resistance > PADDLE_MOST ? PADDLE_MOST : resistance;
    s.paddle0_cycles = charging_cycles(s.paddle0);
}

INLINE void set_switches(Console& s, i32 difficulty, bool reset, bool select) {
    s.swchb = 0x3C | (difficulty << 6) | (reset ? 0 : 1) | (select ? 0 : 2);
}

INLINE void release_controls(Console& s) {
    s.swcha = 0xFF;
    s.fire_left = s.fire_right = 0;
}

INLINE void apply_action(Env& e, i32 action) {
    Console& s = e.s;
    release_controls(s);
    set_switches(s, s.difficulty, action == ACTION_RESET, action == ACTION_SELECT);
    i32 set = action < ACTIONS ? ACTION_SETS[action] : 0;
    if (LEFT_PADDLES) {
        if (set & 2) set_paddle(s, s.paddle0 - e.paddle_step);
        if (set & 4) set_paddle(s, s.paddle0 + e.paddle_step);
        if (set & 16) s.swcha &= SWAP_PADDLES ? ~0x40 : ~0x80;
        return;
    }
    i32 nibble = ((set & 2) ? 8 : 0) | ((set & 4) ? 4 : 0) | ((set & 8) ? 2 : 0) | (set & 1);
    if (SWAP_PORTS) {
        s.swcha &= ~nibble;
        s.fire_right = (set >> 4) & 1;
    } else {
        s.swcha &= ~(nibble << 4);
        s.fire_left = (set >> 4) & 1;
    }
}

// --- the rule of the game: rule.inc is written by rules.py ---

#define REWARD 0
#define SCORE 1
#define TERMINAL 2

INLINE i32 bcd(i32 b) { return 10 * (b >> 4) + (b & 15); }
INLINE i32 signed_byte(i32 x) { return ((x & 0xFF) ^ 0x80) - 0x80; }
INLINE i32 lesser(i32 p, i32 q) { return p < q ? p : q; }
INLINE i32 greater(i32 p, i32 q) { return p > q ? p : q; }

INLINE void emulate(Env& e, i32 action) {
    apply_action(e, action);
    run_frame(e);
}

OUTLINE i32 act(Env& e, i32 action, double stickiness);
INLINE void soft_reset(Env& e);

#define MODE_SELECT_FRAMES 20000  // far more than any game needs: a mode that never comes is given up

OUTLINE void rule_step(Env& e);

INLINE void rule_frame(Env& e, i32 action) {
    emulate(e, action);
    rule_step(e);
}

INLINE void select_held(Env& e, i32 frames) {
    for (i32 k = 0; k < frames; k++) emulate(e, ACTION_SELECT);
    rule_frame(e, ACTION_NOOP);
    e.s.frame_number++;
    e.s.episode_frame_number++;
    e.s.frames_left -= frames + 1;
}

#include "rule.inc"

OUTLINE void rule_step(Env& e) { rule_program(e.s); }

INLINE i32 lives(const Console& s) { return rule_lives(s); }
INLINE bool game_over(const Console& s) { return s.rule[TERMINAL] != 0; }

INLINE void soft_reset(Env& e) {
    for (i32 k = 0; k < 4; k++) rule_frame(e, ACTION_RESET);
    e.s.sticky_action = ACTION_NOOP;
    e.s.sticky_step = PADDLE_STEP;
    e.s.frames_left -= 4;
}

// One agent frame: 0 when the game is over. The sticky generator is drawn from twice, whatever the stickiness.
OUTLINE i32 act(Env& e, i32 action, double stickiness) {
    Console& s = e.s;
    double u = (double)random_draw(e.g.sticky) / 4294967296.0;
    if (u >= stickiness) s.sticky_action = action, s.sticky_step = e.paddle_step;
    random_draw(e.g.sticky);
    s.frames_left--;
    if (game_over(s)) return 0;
    i32 played = s.sticky_action;
    if (FIRE_IS_NOOP && played < ACTIONS && (ACTION_SETS[played] & 16)) played = ACTION_NOOP;
    const i32 asked = e.paddle_step;
    e.paddle_step = s.sticky_step;
    rule_frame(e, played);
    e.paddle_step = asked;
    s.frame_number++;
    s.episode_frame_number++;
    return s.rule[REWARD];
}

// A new episode.
OUTLINE void reset_game(Env& e, double stickiness) {
    Console& s = e.s;
    s.episode_frame_number = 0;
    set_paddle(s, (PADDLE_LEAST + PADDLE_MOST) / 2);
    s.paddle1 = s.paddle0;
    s.paddle1_cycles = s.paddle0_cycles;
    system_reset(e);
    for (i32 k = 0; k < 60; k++) rule_frame(e, ACTION_NOOP);
    soft_reset(e);
    rule_reset(s);
    s.frames_left = MODE_SELECT_FRAMES;
    mode_select(e, s.mode, stickiness);
    soft_reset(e);
    starting_actions(e);
}

// Power-on: the console as it is after ale has loaded the ROM.
OUTLINE void load_rom(Env& e, u32 seed, i32 mode, i32 difficulty, double stickiness) {
    Console& s = e.s;
    u8* bytes = (u8*)&s;
    for (u32 k = 0; k < sizeof(Console); k++) bytes[k] = 0;
    random_seed(e.g.system, 4753849u);
    for (i32 k = 0; k < 128; k++) s.ram[k] = (u8)random_draw(e.g.system);
    random_draw(e.g.system);
    s.line_limit = 290;
    s.height = 210;
    s.detecting = 1;
#if CARTRIDGE == CART_DPC
    s.dpc.random = 1;
#endif
    system_reset(e);
    i32 long_frames = 0;
    for (i32 k = 0; k < 60; k++) {
        release_controls(s);
        set_switches(s, POWER_ON_DIFFICULTY, false, false);
        run_frame(e);
        if (k >= 30 && s.lines_of_last_frame > 285) long_frames++;
    }
    s.is_pal = long_frames >= 15;
    s.line_limit = s.is_pal ? 342 : 290;
    s.height = s.is_pal && HEIGHT == 210 ? 250 : HEIGHT;
    s.detecting = 0;
    s.mode = mode;
    s.difficulty = difficulty;
    system_reset(e);
    random_seed(e.g.sticky, seed);
    reset_game(e, stickiness);
}
