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

static void take_kept(Batch& b, i32 index, const KeptStart& start) {
    take_start(b.console[index], b.generators[index], start);
    memcpy(b.pictures + (size_t)index * 2 * PICTURE_BYTES, start.pictures, sizeof(start.pictures));
    memcpy(b.grey + (size_t)index * PICTURE_BYTES, start.grey, sizeof(start.grey));
}

static void keep(Batch& b, i32 index, KeptStart& start, const Env& e, i32 frames_before) {
    std::lock_guard<std::mutex> lock(b.starts_mutex);
    if (start.ready) return;
    keep_start(start, e, frames_before);
    memcpy(start.pictures, b.pictures + (size_t)index * 2 * PICTURE_BYTES, sizeof(start.pictures));
    memcpy(start.grey, b.grey + (size_t)index * PICTURE_BYTES, sizeof(start.grey));
    start.ready = true;
}

// A new game: FIRE where it is asked for, then a random number of no-ops.
static void start_episode(Batch& b, i32 index, i32 thread) {
    const Settings& set = b.settings;
    Env e = b.env(index, thread, DRAW_EXACTLY);
    const i32 drawn = draw_noops(e, set);
    b.episodes[index].elapsed = 0;
    KeptStart* start = may_take_start(e.s, set) ? b.starts[drawn].get() : nullptr;
    if (start && start->ready) {
        take_kept(b, index, *start);
        return;
    }
    const i32 frames_before = e.s.frame_number;
    play_start(e, set, drawn);
    capture(b, index);
    if (start) keep(b, index, *start, e, frames_before);
}

static void report(Batch& b, i32 index, StepResult* results, i32 reward, i32 terminated, i32 truncated) {
    results[index] = StepResult{reward, lives(b.console[index]), terminated, truncated};
}

static void seed_env(Batch& b, i32 index, i32 thread, u32 seed, u8* observation, StepResult* results) {
    Env e = b.env(index, thread, DRAW_EXACTLY);
    load_for(e, b.settings, seed);
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
    const Console kept = e.s;
    const Frames frames = play_step(e, kept, episode, set, set.action[action], seen, 0);
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
