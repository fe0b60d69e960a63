// An agent's step, and its reset, on one console of a batch.
#pragma once

static void observe(Batch& b, i32 index, i32 thread, u8* observation) {
    const Console& s = b.console[index];
    const Settings& set = b.settings;
    const u8* grey = b.grey + (size_t)index * PICTURE_BYTES;
    const Axis& lines = b.rows[s.height == b.row_heights[0] ? 0 : 1];
    resize(b.columns, lines, grey, *b.scratch[thread], set.first_row, set.rows,
           observation + (size_t)index * set.rows * set.width);
}

static GreyTable greys(const Batch& b, const Console& s) { return grey_table(b.settings.grey[s.is_pal ? 1 : 0]); }

// The last picture alone.
static void capture(Batch& b, i32 index) {
    const Console& s = b.console[index];
    const u8* picture = b.pictures + ((size_t)index * 2 + s.picture) * PICTURE_BYTES;
    grey_picture(greys(b, s), picture, s.height, b.grey + (size_t)index * PICTURE_BYTES);
}

// The picture before the last, into the maximum.
static void capture_earlier(Batch& b, i32 index, i32 thread, bool held) {
    const Console& s = b.console[index];
    Scratch& scratch = *b.scratch[thread];
    const u8* other = b.pictures + ((size_t)index * 2 + (s.picture ^ 1)) * PICTURE_BYTES;
    grey_picture(greys(b, s), held ? scratch.held : other, s.height, scratch.grey);
    raise_to(b.grey + (size_t)index * PICTURE_BYTES, scratch.grey, s.height * PIXELS);
}

// Where every reset of the game led to the same RAM, screen and next 40 frames (games.json), a copy of a start is as good
// as playing it. What the program may not have overwritten since is the console's own all the same.
static void take_start(Batch& b, i32 index, const Start& start) {
    Console& s = b.console[index];
    const i32 frame_number = s.frame_number + start.frames, careful = s.careful;
    s = start.console;
    s.frame_number = frame_number;
    s.careful = careful;
    u32 drawn = 0;
    for (i32 k = 0; k < start.resets; k++) drawn = random_draw(b.generators[index].system);
    if (s.timer_is_random) s.timer_value = timer_at_reset(drawn);
    memcpy(b.pictures + (size_t)index * 2 * PICTURE_BYTES, start.pictures, sizeof(start.pictures));
    memcpy(b.grey + (size_t)index * PICTURE_BYTES, start.grey, sizeof(start.grey));
}

static void keep_start(Batch& b, i32 index, Start& start, i32 frames, i32 resets) {
    std::lock_guard<std::mutex> lock(b.starts_mutex);
    if (start.ready) return;
    start.console = b.console[index];
    start.frames = frames;
    start.resets = resets;
    memcpy(start.pictures, b.pictures + (size_t)index * 2 * PICTURE_BYTES, sizeof(start.pictures));
    memcpy(start.grey, b.grey + (size_t)index * PICTURE_BYTES, sizeof(start.grey));
    start.ready = true;
}

// A new game: FIRE where it is asked for, then a random number of no-ops.
static void start_episode(Batch& b, i32 index, i32 thread) {
    const Settings& set = b.settings;
    Env e = b.env(index, thread, DRAW_EXACTLY);
    const i32 drawn = draw_noops(e, set);
    b.episodes[index] = Episode{0, 0, 0};
    // Not if somebody chose another mode for this console.
    const bool usual = e.s.mode == set.mode && e.s.difficulty == set.difficulty;
    Start* start = usual && drawn < (i32)b.starts.size() ? b.starts[drawn].get() : nullptr;
    if (start && start->ready) {
        take_start(b, index, *start);
        return;
    }
    const i32 frames_before = e.s.frame_number;
    play_start(e, set, drawn);
    capture(b, index);
    if (start) keep_start(b, index, *start, e.s.frame_number - frames_before, e.resets);
}

static void report(Batch& b, i32 index, StepResult* results, i32 reward, i32 terminated, i32 truncated) {
    results[index] = StepResult{reward, lives(b.console[index]), terminated, truncated};
}

static void seed_env(Batch& b, i32 index, i32 thread, u32 seed, u8* observation, StepResult* results) {
    Env e = b.env(index, thread, DRAW_EXACTLY);
    random_seed(e.g.noop, seed);
    load_rom(e, seed, b.settings.mode, b.settings.difficulty, b.settings.stickiness);
    start_episode(b, index, thread);
    observe(b, index, thread, observation);
    report(b, index, results, 0, 0, 0);
}

static void step_env(Batch& b, i32 index, i32 thread, i32 action, u8* observation, u8* final_observation,
                     StepResult* results) {
    const Settings& set = b.settings;
    Episode& episode = b.episodes[index];
    Env e = b.env(index, thread, DRAW_LINES);
    const bool seen = observation != nullptr;
    const Frames frames = play_step(e, episode, set, set.action[action], seen);
    if (seen) {
        const i32 usual = set.frame_skip < 2 ? set.frame_skip : 2;
        if (frames.captured == usual) capture(b, index);
        if (frames.captured > 0 && usual == 2 && set.max_pool) capture_earlier(b, index, thread, frames.held != 0);
    }
    bool over = frames.terminated || frames.truncated;
    if (over) {
        if (seen) observe(b, index, thread, final_observation);
        start_episode(b, index, thread);
    }
    if (seen) observe(b, index, thread, observation);
    report(b, index, results, frames.reward, frames.terminated, frames.truncated);
}
