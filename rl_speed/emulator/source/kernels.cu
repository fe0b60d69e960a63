// Many consoles on the GPU: a step as four kernels on one stream, all state in device memory.
//
// step_frames runs the frames of every console, one thread each; make_frames turns the pictures into observations, one
// block each; start_episodes starts the games that ended; and make_frames shows those again. Nothing is decided on the
// host, so the four can be captured in a CUDA graph. HOST_KERNELS builds the same text as loops, for a test without a GPU.
#include "observe.h"

#define KERNEL extern "C" __global__ void

// Pointers are device addresses; arrays have one row per console.
struct Arrays {
    Console* console;
    Generators* generators;
    u8* pictures;
    u8* grey;            // MAX_ROWS x PIXELS: the maximum that the last observation was made of
    Episode* episodes;
    const u8* rom;
    const Settings* settings;
    const Axis* columns;
    const Axis* lines;   // 2: of the usual height, and of the one a PAL picture gets
    Frame* frames;       // scratch of each console
    u8* held;            // PICTURE_BYTES, see Env
    i32* captured;       // how many of the last two pictures count, + HELD; or -1 for a start
    i32 consoles, usual_height;
};

#define HELD 16

INLINE Env env_of(const Arrays& a, i32 index, Console& s, i32 drawing) {
    return Env{s, a.generators[index], a.pictures + (u64)index * 2 * PICTURE_BYTES, a.rom, a.frames[index], drawing, 0, 0, 0,
               a.held + (u64)index * PICTURE_BYTES};
}

INLINE void step_console(const Arrays& a, i32 index, i32 action, StepResult* results, bool seen) {
    // A copy of its own: local memory lies so that the lanes of a warp read neighbouring words.
    Console s = a.console[index];
    Episode episode = a.episodes[index];
    Env e = env_of(a, index, s, DRAW_LINES);
    const Frames frames = play_step(e, episode, *a.settings, a.settings->action[action], seen);
    a.captured[index] = frames.captured + (frames.held ? HELD : 0);
    a.console[index] = s;
    a.episodes[index] = episode;
    results[index] = StepResult{frames.reward, lives(s), frames.terminated, frames.truncated};
}

INLINE void start_console(const Arrays& a, i32 index) {
    Console s = a.console[index];
    Env e = env_of(a, index, s, DRAW_EXACTLY);
    play_start(e, *a.settings, draw_noops(e, *a.settings));
    a.captured[index] = -1;
    a.console[index] = s;
    a.episodes[index] = Episode{0, 0, 0};
}

INLINE void seed_console(const Arrays& a, i32 index, u32 seed, StepResult* results) {
    const Settings& set = *a.settings;
    Console s;
    Env e = env_of(a, index, s, DRAW_EXACTLY);
    random_seed(e.g.noop, seed);
    load_rom(e, seed, set.mode, set.difficulty, set.stickiness);
    a.console[index] = s;
    start_console(a, index);
    results[index] = StepResult{0, lives(a.console[index]), 0, 0};
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

// The maximum of the pictures that count, and the observation made of it. Lanes of one block share a console.
INLINE void show_console(const Arrays& a, i32 index, u8* observation, i32 lane, i32 lanes, bool resize) {
    const Settings& set = *a.settings;
    const Console& s = a.console[index];
    const u8* table = set.grey[s.is_pal ? 1 : 0];
    const u8* now = a.pictures + ((u64)index * 2 + s.picture) * PICTURE_BYTES;
    const bool held = a.captured[index] > 0 && (a.captured[index] & HELD);
    const u8* before = held ? a.held + (u64)index * PICTURE_BYTES
                            : a.pictures + ((u64)index * 2 + (s.picture ^ 1)) * PICTURE_BYTES;
    u8* grey = a.grey + (u64)index * PICTURE_BYTES;
    const i32 usual = set.frame_skip < 2 ? set.frame_skip : 2;
    const i32 captured = a.captured[index] < 0 ? -1 : a.captured[index] & ~HELD;
    const bool anew = captured == -1 || captured == usual;
    const bool pooled = captured > 0 && usual == 2 && set.max_pool;
    if (!resize) {
        for (i32 k = lane; k < s.height * PIXELS; k += lanes) {
            u8 value = anew ? table[now[k]] : grey[k];
            if (pooled) {
                u8 other = table[before[k]];
                value = value > other ? value : other;
            }
            grey[k] = value;
        }
        return;
    }
    const Axis& lines = a.lines[s.height == a.usual_height ? 0 : 1];
    u8* out = observation + (u64)index * set.rows * set.width;
    for (i32 k = lane; k < set.rows * set.width; k += lanes)
        out[k] = cell_of(a, lines, grey, k % set.width, set.first_row + k / set.width);
}

#ifndef HOST_KERNELS
KERNEL structure_sizes(i32* sizes) {
    write_sizes(sizes);
    sizes[7] = sizeof(Arrays);
}

KERNEL make_axes(Axis* columns, Axis* lines, i32 width, i32 height, i32 usual_height) {
    make_axis(*columns, PIXELS, width, true);
    make_axis(lines[0], usual_height, height, false);
    make_axis(lines[1], usual_height == 210 ? 250 : usual_height, height, false);
}

KERNEL seed_consoles(Arrays a, const u32* seeds, const u8* mask, StepResult* results) {
    const i32 index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= a.consoles || (mask && !mask[index])) return;
    seed_console(a, index, seeds[index], results);
}

KERNEL step_frames(Arrays a, const long long* actions, StepResult* results, i32 seen) {
    const i32 index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index < a.consoles) step_console(a, index, (i32)actions[index], results, seen != 0);
}

KERNEL start_episodes(Arrays a, StepResult* results) {
    const i32 index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= a.consoles || !(results[index].terminated || results[index].truncated)) return;
    start_console(a, index);
    results[index].lives = lives(a.console[index]);
}

// only_ended: of the games that just started, and of no others.
KERNEL make_frames(Arrays a, u8* observation, const StepResult* results, i32 only_ended) {
    const i32 index = blockIdx.x;
    if (only_ended && !(results[index].terminated || results[index].truncated)) return;
    show_console(a, index, observation, threadIdx.x, blockDim.x, false);
    __syncthreads();
    show_console(a, index, observation, threadIdx.x, blockDim.x, true);
}
#endif
