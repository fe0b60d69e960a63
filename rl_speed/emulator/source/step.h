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

static void capture(Batch& b, i32 index, bool alone) {
    const Console& s = b.console[index];
    const GreyTable table = grey_table(b.settings.grey[s.is_pal ? 1 : 0]);
    const u8* pictures = b.pictures + (size_t)index * 2 * PICTURE_BYTES;
    u8* grey = b.grey + (size_t)index * PICTURE_BYTES;
    grey_picture(table, pictures + s.picture * PICTURE_BYTES, s.height, grey);
    if (alone) return;
    static thread_local u8 before[PICTURE_BYTES];
    grey_picture(table, pictures + (s.picture ^ 1) * PICTURE_BYTES, s.height, before);
    raise_to(grey, before, s.height * PIXELS);
}

// The frame before the last, into the maximum that the last observation left.
static void capture_earlier(Batch& b, i32 index) {
    const Console& s = b.console[index];
    const GreyTable table = grey_table(b.settings.grey[s.is_pal ? 1 : 0]);
    static thread_local u8 before[PICTURE_BYTES];
    grey_picture(table, b.pictures + ((size_t)index * 2 + (s.picture ^ 1)) * PICTURE_BYTES, s.height, before);
    raise_to(b.grey + (size_t)index * PICTURE_BYTES, before, s.height * PIXELS);
}

static void take_start(Batch& b, i32 index, const Start& start) {
    Console& s = b.console[index];
    const i32 frame_number = s.frame_number + start.frames, careful = s.careful | start.console.careful;
    s = start.console;
    s.frame_number = frame_number;
    s.careful = careful;
    for (i32 k = 0; k < start.resets * RESET_DRAWS; k++) random_draw(b.generators[index].system);
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
    Start* start = drawn < (i32)b.starts.size() ? b.starts[drawn].get() : nullptr;
    if (start && start->ready) {
        take_start(b, index, *start);
        return;
    }
    const i32 frames_before = e.s.frame_number;
    play_start(e, set, drawn);
    capture(b, index, true);
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
    i32 usual = set.frame_skip < 2 ? set.frame_skip : 2;
    if (!seen) {
        // Nobody looks.
    } else if (frames.captured == usual) {
        capture(b, index, usual == 1 || !set.max_pool);
    } else if (frames.captured == 1 && set.max_pool) {
        capture_earlier(b, index);
    }
    bool over = frames.terminated || frames.truncated;
    if (over) {
        if (seen) observe(b, index, thread, final_observation);
        start_episode(b, index, thread);
    }
    if (seen) observe(b, index, thread, observation);
    report(b, index, results, frames.reward, frames.terminated, frames.truncated);
}
