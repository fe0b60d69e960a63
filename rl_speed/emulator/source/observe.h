// An agent's step on one console, as ale-py's AtariVectorEnv takes it: several frames, the picture of the last two in
// grey, their maximum, and that resized.
#pragma once
#include "agent.h"
#include "warp.h"

struct Settings {
    i32 frame_skip, max_pool, noop_max, fire_on_reset, max_frames, episodic_life;
    i32 life_loss_ends;  // a lost life is reported as an end, but the game goes on
    i32 reset_mode;      // RESET_...
    i32 draw_all;        // every picture is drawn, for those who look at it
    i32 height, width, first_row, rows;  // the observation's size before the crop, and the rows that are kept
    i32 channels, stack;                 // of a frame: 1 grey, 3 colours, 0 the RAM instead; frames of an observation
    i32 default_mode, mode, difficulty, cache_starts;
    double stickiness;
    i32 action[ACTIONS];    // the agent's actions, as ale numbers them
    u8 table[3][2][256];    // of each channel, what palette values are in it: NTSC, PAL
};

// When a game that is over is followed by the next one.
#define RESET_IN_STEP 0    // in the step that ended it
#define RESET_NEXT_STEP 1  // in the step after that, whose action is ignored
#define RESET_NEVER 2      // when the caller says so

INLINE u64 frame_bytes(const Settings& set) {
    return set.channels == 0 ? 128 : (u64)set.rows * (u64)set.width * (u64)set.channels;
}

// Weights of the resize along one axis: cell k is the weighted sum of `taps` pixels from first[k] on.
#define MAX_TAPS 16
#define MAX_CELLS 256
struct Axis {
    i32 cells, taps;
    i32 whole;         // pixels to a cell, if that is a whole number: the resize then works in integers
    i32 first[MAX_CELLS];
    float weight[MAX_TAPS][MAX_CELLS];
};

// What a step says beside the observation.
struct StepResult {
    i32 reward, lives, terminated, truncated, frame_number, episode_frame_number;
    i32 ended;  // the game did: terminated may also be said of a lost life
    i32 final_lives, final_frame_number, final_episode_frame_number;  // of the game that ended, before the next one
};

// Half to even, where the sum lies between 0 and 255.5: adding 2^23 leaves no bits behind the point.
INLINE u8 rounded_cell(float sum) {
    float rounded = (sum + 8388608.0f) - 8388608.0f;
    return (u8)(i32)(rounded > 255.0f ? 255.0f : rounded);
}

INLINE bool has_whole_cells(const Axis& columns, const Axis& lines) {
    return columns.whole && lines.whole && columns.whole * lines.whole > 1;
}

// A cell that is whole pixels: their mean, which OpenCV rounds up at a half for 2 x 2 and to even else.
INLINE u8 whole_cell(const Axis& columns, const Axis& lines, const u8* grey, i32 x, i32 y) {
    i32 sum = 0;
    for (i32 row = 0; row < lines.whole; row++)
        for (i32 column = 0; column < columns.whole; column++)
            sum += grey[(y * lines.whole + row) * PIXELS + x * columns.whole + column];
    if (columns.whole == 2 && lines.whole == 2) return (u8)((sum + 2) >> 2);
    return rounded_cell((float)sum * (1.0f / (float)(columns.whole * lines.whole)));
}

// What of an environment outlives a step, beside its console.
struct Episode {
    u64 hash;     // with HASH_FRAMES: of every frame that an agent's step played
    i32 elapsed;  // frames since the reset's no-ops
    i32 over;     // the game is over, and the next one is still to be started
};

#ifndef HASH_FRAMES
#define HASH_FRAMES 0  // 1, for comparisons
#endif

INLINE u64 hashed(u64 hash, const void* bytes, i32 count) {
    const u64* words = (const u64*)bytes;
    for (i32 k = 0; k < count / 8; k++) hash = ((hash ^ words[k]) * 0x9E3779B97F4A7C15ull) ^ (hash >> 29);
    return hash;
}

INLINE void hash_frame(const Env& e, Episode& episode, i32 reward) {
    const i32 numbers[] = {reward, lives(e.s), game_over(e.s), e.s.frame_number};
    u64 hash = hashed(episode.hash, e.s.ram, 128);
    hash = hashed(hash, e.pictures + e.s.picture * PICTURE_BYTES, e.s.height * PIXELS);
    for (i32 k = 0; k < 4; k++) hash = (hash ^ (u32)numbers[k]) * 0x9E3779B97F4A7C15ull;
    episode.hash = hash;
}

// Area weights, as OpenCV makes them: cell k covers [k*scale, (k+1)*scale), and a partial pixel counts if more than a
// thousandth of it is covered.
// Every cell reads as many pixels as the widest does; with `few_widths`, 3, 5 or MAX_TAPS of them.
INLINE void make_axis(Axis& axis, i32 pixels, i32 cells, bool few_widths) {
    axis.cells = cells;
    axis.whole = pixels % cells == 0 ? pixels / cells : 0;
    axis.taps = 0;
    double scale = (double)pixels / cells;
    for (i32 k = 0; k < cells; k++) {
        double from = k * scale, to = from + scale;
        i32 first = (i32)from + (from > (i32)from ? 1 : 0), last = (i32)to;
        if (last > pixels) last = pixels;
        if (first > last) first = last;
        i32 count = 0;
        axis.first[k] = first;
        if (first - from > 1e-3) {
            axis.first[k] = first - 1;
            axis.weight[count++][k] = (float)((first - from) / scale);
        }
        for (i32 x = first; x < last && count < MAX_TAPS; x++) axis.weight[count++][k] = (float)(1.0 / scale);
        if (to - last > 1e-3 && last < pixels && count < MAX_TAPS) {
            axis.weight[count++][k] = (float)((to - last) / scale);
        }
        if (count > axis.taps) axis.taps = count;
        for (; count < MAX_TAPS; count++) axis.weight[count][k] = 0;
    }
    if (few_widths) axis.taps = axis.taps <= 3 ? 3 : axis.taps <= 5 ? 5 : MAX_TAPS;
    // None of them beyond the edge.
    for (i32 k = 0; k < cells; k++) {
        while (axis.first[k] + axis.taps > pixels) {
            axis.first[k]--;
            for (i32 n = MAX_TAPS - 1; n > 0; n--) axis.weight[n][k] = axis.weight[n - 1][k];
            axis.weight[0][k] = 0;
        }
    }
}

// How large the structures are that Python allocates, in the order that consoles.py and cuda.py read them.
INLINE void write_sizes(i32* sizes) {
    sizes[0] = sizeof(Console);
    sizes[1] = sizeof(Generators);
    sizes[2] = PICTURE_BYTES;
    sizes[3] = sizeof(Episode);
    sizes[4] = sizeof(Settings);
    sizes[5] = sizeof(Frame);
    sizes[6] = sizeof(Axis);
    sizes[7] = PICTURES_BYTES;
}

// --- a game's start ---

// A start that was played once. Where every reset of the game led to the same RAM, screen and next 40 frames (games.json),
// a copy of it is as good as playing it.
struct Start {
    Console console;
    i32 frames, resets;  // that it took
};

INLINE void keep_start(Start& start, const Env& e, i32 frames_before) {
    copy_words(start.console, e.s);
    start.frames = e.s.frame_number - frames_before;
    start.resets = e.resets;
}

// What a start does not say is the console's own all the same.
INLINE void take_start(Console& s, Generators& g, const Start& start) {
    const i32 frame_number = s.frame_number + start.frames, careful = s.careful;
    copy_words(s, start.console);
    s.frame_number = frame_number;
    s.careful = careful;
    u32 drawn = 0;
    for (i32 k = 0; k < start.resets; k++) drawn = random_draw(g.system);
    if (s.timer_is_random) s.timer_value = timer_at_reset(drawn);
}

// Not if somebody chose another mode for this console.
INLINE bool may_take_start(const Console& s, const Settings& set) {
    return set.cache_starts && set.stickiness == 0 && s.mode == set.mode && s.difficulty == set.difficulty;
}

// The ROM is loaded in its default mode; another one is chosen then, and counts from the next reset on.
INLINE void load_for(Env& e, const Settings& set, u32 seed) {
    random_seed(e.g.noop, seed);
    load_rom(e, seed, set.default_mode, 0, set.stickiness);
    e.s.mode = set.mode;
    e.s.difficulty = set.difficulty;
    e.resets = 0;
}

INLINE i32 number_of_starts(const Settings& set) { return set.noop_max > 0 ? set.noop_max : 1; }

INLINE i32 draw_noops(Env& e, const Settings& set) {
    return set.noop_max > 0 ? (i32)(((u64)random_draw(e.g.noop) * (u64)set.noop_max) >> 32) : 0;
}

// A new game: FIRE where it is asked for, which counts as one of the no-ops that were drawn.
OUTLINE void play_start(Env& e, const Settings& set, i32 drawn) {
    reset_game(e, set.stickiness);
    const i32 fired = set.fire_on_reset ? 1 : 0;
    if (fired) act(e, ACTION_FIRE, set.stickiness);
    for (i32 k = 0; k < drawn - fired; k++) {
        act(e, ACTION_NOOP, set.stickiness);
        if (game_over(e.s)) reset_game(e, set.stickiness);
    }
}

// --- a step ---

#ifndef ALWAYS_CAREFUL
#define ALWAYS_CAREFUL 0  // 1, for tests: every frame is drawn exactly
#endif

#define CAREFUL_STEPS 4  // that are drawn exactly after one that had to be

// What the frames of a step came to; `captured` of its last two pictures count.
struct Frames {
    i32 reward, captured, terminated, truncated, held, life_lost;
};

// A step that must be run again, exactly: what is wrong with a picture matters only to those who look.
INLINE bool stopped(const Env& e, bool seen) { return (e.cut && seen) || e.inexact; }

OUTLINE Frames run_frames(Env& e, Episode& episode, const Settings& set, i32 action, bool careful, bool seen, u32 lanes) {
    Frames out = {0, 0, 0, 0, 0, 0};
    const i32 lives_before = lives(e.s);
    bool over = false;
    for (i32 k = 0; k < set.frame_skip; k++) {
        e.f.lanes = going_on(lanes, !over && !game_over(e.s));
        if (over) continue;
        const bool wanted = seen && k >= set.frame_skip - 2;
        e.drawing = careful ? DRAW_EXACTLY : wanted ? DRAW_LINES : DRAW_NOTHING;
        const i32 reward = act(e, action, set.stickiness);
        if (HASH_FRAMES) hash_frame(e, episode, reward);
        out.reward += reward;
        episode.elapsed++;
        const bool life_lost = lives(e.s) < lives_before && lives(e.s) > 0;
        out.life_lost = set.life_loss_ends && life_lost;
        out.terminated = game_over(e.s) || (set.episodic_life && life_lost);
        out.truncated = !out.terminated && episode.elapsed >= set.max_frames;
        over = out.terminated || out.truncated || (!careful && stopped(e, seen));
        if (over) continue;
        if (wanted) out.captured++;
        if (wanted && k == set.frame_skip - 2 && e.s.unfinished) {
            // The next call goes on in the same picture.
            copy_rows(e.held, e.pictures + e.s.picture * PICTURE_BYTES, e.s.height);
            out.held = 1;
        }
    }
    e.f.lanes = 0;
    return out;
}

// `kept` is the console as it was before the step; `lanes` take a step together.
INLINE Frames play_step(Env& e, const Console& kept, Episode& episode, const Settings& set, i32 action, bool seen,
                        u32 lanes) {
    Console& s = e.s;
    const u32 sticky = e.g.sticky[624];
    // A second run draws the same random numbers again, so it is not possible where they are about to be renewed.
    bool careful = ALWAYS_CAREFUL || set.draw_all || s.careful || sticky + 2 * (u32)set.frame_skip > 624;
    const Episode kept_episode = episode;
    for (;;) {
        const Frames frames = run_frames(e, episode, set, action, careful, seen, lanes);
        if (careful || !stopped(e, seen)) {
            s.careful = stopped(e, seen) ? CAREFUL_STEPS : s.careful > 0 ? s.careful - 1 : 0;
            return frames;
        }
        // A picture that is cut off shows what earlier frames, or the piece drawn last, left there. Such a step stops
        // and is run once more with everything drawn, and so are the next ones: such pictures seldom come alone. Of the
        // picture that it stopped in, the first run drew no more than the second does.
        copy_words(s, kept);
        episode = kept_episode;
        e.g.sticky[624] = sticky;
        e.cut = e.inexact = 0;
        careful = true;
        lanes = arrived_together();
    }
}
