// Many consoles on the GPU: a step as four launches of two kernels on one stream, all state in device memory. The last two
// are for games that ended.
//
// run_consoles does everything that a console does, one thread each, LANES to a block, so that few consoles spread over
// all of the GPU; make_frames turns pictures into observations, one block each. Nothing is decided on the host, so a step can
// be captured in a CUDA graph. simulated_device.cpp runs the same text on the CPU, for tests without a GPU.
#include "observe.h"

#define KERNEL extern "C" __global__ void
#define FRAME_THREADS 256  // per block of make_frames
#define ALL_LANES (LANES == 32 ? 0xFFFFFFFFu : (1u << (LANES & 31)) - 1)

// Registers are for as many blocks on each multiprocessor as this asks for.
#ifndef BLOCKS_AT_ONCE
#define BLOCKS_AT_ONCE 16
#endif

// Pointers are device addresses; arrays have one row per console.
struct Arrays {
    Console* console;
    Generators* generators;
    u8* pictures;
    u8* planes;          // MAX_ROWS x PIXELS: the maximum that the last observation was made of
    Episode* episodes;
    const u8* rom;
    const Settings* settings;
    const Axis* columns;
    const Axis* lines;   // 2: of the usual height, and of the one a PAL picture gets
    u32* log;            // LOG_ENTRIES x LANES notes for every block
    u8* held;            // PICTURE_BYTES, see Env
    i32* shown;          // what make_frames has to show: SHOW_...
    Start* starts;       // by the number of no-ops drawn; null if none are kept
    u8* start_pictures;  // two each
    u8* start_grey;
    i32 consoles, usual_height;
};

// How many of the last two pictures count, and
#define SHOW_HELD 16       // the first of them is in `held`
#define SHOW_ENDED 32      // this is the last observation of a game
#define SHOW_PLAYED (-1)   // the last picture, of a start
#define SHOW_START (-2)    // start -2 - n, which is copied

INLINE StepResult result_now(const Console& s, i32 ended) {
    return StepResult{0, lives(s), 0, 0, s.frame_number, s.episode_frame_number, ended,
                      lives(s), s.frame_number, s.episode_frame_number};
}

INLINE void step_console(const Arrays& a, Env& e, i32 index, long long action, StepResult* results, bool seen) {
    const i32 reset_mode = a.settings->reset_mode;
    // What is no action is a NOOP: nobody would hear a complaint.
    const i32 played = action >= 0 && action < ACTIONS ? a.settings->action[action] : ACTION_NOOP;
    const i32 left = a.consoles - (i32)blockIdx.x * LANES;
    Episode episode = a.episodes[index];
    const u32 lanes = going_on(left >= LANES ? ALL_LANES : (1u << left) - 1, !episode.over);
    if (episode.over) {
        // The next game starts in this step, whatever the action, or when the caller says so.
        const bool starts = reset_mode != RESET_NEVER;
        a.shown[index] = starts ? SHOW_ENDED : 0;
        results[index] = result_now(e.s, !starts);
        return;
    }
    const Frames frames = play_step(e, a.console[index], episode, *a.settings, played, seen, lanes);
    const bool ended = frames.terminated || frames.truncated;
    const bool starts = ended && reset_mode == RESET_IN_STEP;
    episode.over = ended && !starts;
    a.shown[index] = frames.captured + (frames.held ? SHOW_HELD : 0) + (starts ? SHOW_ENDED : 0);
    a.episodes[index] = episode;
    results[index] = StepResult{frames.reward, lives(e.s), frames.terminated | frames.life_lost, frames.truncated, e.s.frame_number,
                               e.s.episode_frame_number, ended, lives(e.s), e.s.frame_number,
                               e.s.episode_frame_number};
}

INLINE void start_console(const Arrays& a, Env& e, i32 index) {
    const Settings& set = *a.settings;
    const i32 drawn = draw_noops(e, set);
    a.episodes[index].elapsed = a.episodes[index].over = 0;
    if (a.starts && may_take_start(e.s, set)) {
        take_start(e.s, e.g, a.starts[drawn]);
        a.shown[index] = SHOW_START - drawn;
    } else {
        play_start(e, set, drawn);
        a.shown[index] = SHOW_PLAYED;
    }
}

#define SEED 0   // load the ROM with seeds[index] and start a game
#define STEP 1   // play actions[index]
#define START 2  // start the next game, where one ended
#define KEEP 3   // load the ROM and keep the start with `index` no-ops
#define RESET 4  // start a game

// What an operation reads and writes; a null pointer where it does not.
struct Inputs {
    const long long* actions;
    const i32* paddle_steps;  // see Env; null: the usual one
    const u32* seeds;
    const u8* chosen;         // the consoles that are seeded or reset, null: all; the others show what they showed
    StepResult* results;
};

// One kernel for all of them: the emulator is compiled once.
KERNEL __launch_bounds__(LANES, BLOCKS_AT_ONCE)
run_consoles(Arrays a, i32 operation, Inputs in, i32 seen) {
    const i32 index = blockIdx.x * LANES + threadIdx.x;
    if (index >= a.consoles) return;
    if (operation == START && !(a.shown[index] >= 0 && (a.shown[index] & SHOW_ENDED))) return;
    if (in.chosen && !in.chosen[index]) {
        a.shown[index] = 0;
        in.results[index] = result_now(a.console[index], a.episodes[index].over);
        return;
    }
    const Settings& set = *a.settings;
    // Copies of its own: local memory lies so that the lanes of a warp read neighbouring words.
    Console s;
    Frame f;
    f.lanes = 0;
    f.log = a.log + (u64)blockIdx.x * LOG_ENTRIES * LANES + threadIdx.x;
    Env e = Env{s, a.generators[index], a.pictures + (u64)index * 2 * PICTURE_BYTES, a.rom, f, DRAW_EXACTLY, 0, 0, 0,
                a.held + (u64)index * PICTURE_BYTES, PADDLE_STEP};
    if (in.paddle_steps) e.paddle_step = in.paddle_steps[index];
    if (operation == SEED || operation == KEEP) {
        load_for(e, set, in.seeds ? in.seeds[index] : 0);
    } else {
        copy_words(s, a.console[index]);
    }
    if (operation == STEP) {
        step_console(a, e, index, in.actions[index], in.results, seen != 0);
    } else if (operation == KEEP) {
        const i32 frames_before = s.frame_number;
        play_start(e, set, index);
        keep_start(a.starts[index], e, frames_before);
        a.shown[index] = SHOW_PLAYED;
    } else {
        start_console(a, e, index);
        StepResult result = result_now(s, 0);
        if (operation == START && set.reset_mode == RESET_IN_STEP) {
            // The next game's, beside what the last one came to.
            const i32 lives_now = result.lives;
            result = in.results[index];
            result.lives = lives_now, result.frame_number = s.frame_number;
            result.episode_frame_number = s.episode_frame_number;
        }
        in.results[index] = result;
    }
    copy_words(a.console[index], s);
}

// The weighted sum of a cell along x, rounded after every product.
INLINE float column_sum(const Axis& axis, const u8* row, i32 cell) {
    const u8* p = row + axis.first[cell];
    float sum = (float)p[0] * axis.weight[0][cell];
    for (i32 n = 1; n < axis.taps; n++) sum = sum + (float)p[n] * axis.weight[n][cell];
    return sum;
}

INLINE u8 cell_of(const Arrays& a, const Axis& lines, const u8* grey, i32 x, i32 y) {
    if (has_whole_cells(*a.columns, lines)) return whole_cell(*a.columns, lines, grey, x, y);
    const i32 first = lines.first[y];
    float sum = column_sum(*a.columns, grey + first * PIXELS, x) * lines.weight[0][y];
    for (i32 n = 1; n < lines.taps; n++)
        sum = sum + column_sum(*a.columns, grey + (first + n) * PIXELS, x) * lines.weight[n][y];
    return rounded_cell(sum);
}

INLINE void copy_together(u8* to, const u8* from, i32 bytes) {
    for (i32 k = threadIdx.x; k < bytes / 8; k += FRAME_THREADS) ((u64*)to)[k] = ((const u64*)from)[k];
}

INLINE u32 grey_word(const u8* table, u32 w) {
    return table[w & 255] | (u32)table[w >> 8 & 255] << 8 | (u32)table[w >> 16 & 255] << 16 | (u32)table[w >> 24] << 24;
}

INLINE u32 brighter_word(u32 p, u32 q) {
    u32 most = 0;
    for (i32 shift = 0; shift < 32; shift += 8) {
        const u32 a = p >> shift & 255, b = q >> shift & 255;
        most |= (a > b ? a : b) << shift;
    }
    return most;
}

// The maximum of the pictures that count.
INLINE void make_grey(const Arrays& a, i32 index, i32 shown) {
    const Settings& set = *a.settings;
    const Console& s = a.console[index];
    const u8* table = set.table[0][s.is_pal ? 1 : 0];
    const u8* pictures = a.pictures + (u64)index * 2 * PICTURE_BYTES;
    const u8* now = pictures + s.picture * PICTURE_BYTES;
    const bool held = shown > 0 && (shown & SHOW_HELD);
    const u8* before = held ? a.held + (u64)index * PICTURE_BYTES : pictures + (s.picture ^ 1) * PICTURE_BYTES;
    u8* grey = a.planes + (u64)index * PICTURE_BYTES;
    const i32 usual = set.frame_skip < 2 ? set.frame_skip : 2;
    const i32 captured = shown < 0 ? usual : shown & 3;
    const bool pooled = shown > 0 && captured > 0 && usual == 2 && set.max_pool;
    if (captured != usual && !pooled) return;
    for (i32 k = threadIdx.x; k < s.height * PIXELS / 4; k += FRAME_THREADS) {
        // Four pixels to a word.
        u32 value = captured == usual ? grey_word(table, ((const u32*)now)[k]) : ((const u32*)grey)[k];
        if (pooled) value = brighter_word(value, grey_word(table, ((const u32*)before)[k]));
        ((u32*)grey)[k] = value;
    }
}

// only_started: of the games that just started, and of no others.
KERNEL __launch_bounds__(FRAME_THREADS)
make_frames(Arrays a, u8* observation, u8* final_observation, i32 only_started) {
    const i32 index = blockIdx.x, shown = a.shown[index];
    if (only_started && shown >= 0) return;
    const Settings& set = *a.settings;
    u8* grey = a.planes + (u64)index * PICTURE_BYTES;
    if (shown <= SHOW_START) {
        const u64 start = (u64)(SHOW_START - shown);
        copy_together(a.pictures + (u64)index * 2 * PICTURE_BYTES, a.start_pictures + start * 2 * PICTURE_BYTES, 2 * PICTURE_BYTES);
        copy_together(grey, a.start_grey + start * PICTURE_BYTES, PICTURE_BYTES);
    } else {
        make_grey(a, index, shown);
    }
    __syncthreads();
    const Axis& lines = a.lines[a.console[index].height == a.usual_height ? 0 : 1];
    const i32 pixels = set.rows * set.width;
    const bool ended = shown >= 0 && (shown & SHOW_ENDED);
    u8* out = (ended ? final_observation : observation) + (u64)index * pixels;
    for (i32 k = threadIdx.x; k < pixels; k += FRAME_THREADS)
        out[k] = cell_of(a, lines, grey, k % set.width, set.first_row + k / set.width);
}

KERNEL structure_sizes(i32* sizes) {
    write_sizes(sizes);
    sizes[8] = sizeof(Arrays);
    sizes[9] = LOG_ENTRIES * LANES * sizeof(u32);
    sizes[10] = sizeof(Start);
    sizes[11] = LANES;
    sizes[12] = FRAME_THREADS;
}

KERNEL make_axes(Axis* columns, Axis* lines, i32 width, i32 height, i32 usual_height) {
    make_axis(*columns, PIXELS, width, true);
    make_axis(lines[0], usual_height, height, false);
    make_axis(lines[1], usual_height == 210 ? 250 : usual_height, height, false);
}
