// An agent's step, and its reset, on one console of a batch.
#pragma once

static size_t plane_bytes(const Batch& b) { return (size_t)b.settings.channels * PICTURE_BYTES; }

static u8* planes_of(Batch& b, i32 index) { return b.planes + (size_t)index * plane_bytes(b); }

static GreyTable table(const Batch& b, const Console& s, i32 channel) {
    return grey_table(b.settings.table[channel][s.is_pal ? 1 : 0]);
}

// What an agent sees of the console as it is: its RAM, or the planes of its picture, resized.
static void make_frame(Batch& b, i32 index, i32 thread, u8* frame) {
    const Console& s = b.console[index];
    const Settings& set = b.settings;
    if (set.channels == 0) {
        memcpy(frame, s.ram, sizeof(s.ram));
        return;
    }
    const Axis& lines = b.rows[s.height == b.row_heights[0] ? 0 : 1];
    Scratch& scratch = *b.scratch[thread];
    const i32 pixels = set.rows * set.width;
    for (i32 channel = 0; channel < set.channels; channel++) {
        u8* out = set.channels == 1 ? frame : scratch.cells;
        resize(b.columns, b.picks, lines, planes_of(b, index) + channel * PICTURE_BYTES, scratch, set.first_row, set.rows, out);
        if (set.channels > 1)
            for (i32 k = 0; k < pixels; k++) frame[k * set.channels + channel] = out[k];
    }
}

// The newest frame, after those before it; a game's first one comes after nothing.
static void observe(Batch& b, i32 index, i32 thread, u8* observation, bool is_first) {
    const size_t frame = frame_bytes(b.settings), all = frame * (size_t)b.settings.stack;
    u8* out = observation + (size_t)index * all;
    if (b.settings.stack == 1) {
        make_frame(b, index, thread, out);
        return;
    }
    u8* stack = b.stacks + (size_t)index * all;
    if (is_first)
        memset(stack, 0, all - frame);
    else
        memmove(stack, stack + frame, all - frame);
    make_frame(b, index, thread, stack + all - frame);
    memcpy(out, stack, all);
}

// Of the two, the one that was drawn last, or the one before it.
static const u8* picture_of(const Batch& b, i32 index, bool last) {
    const i32 picture = b.console[index].picture ^ (last ? 0 : 1);
    return b.pictures + (size_t)index * PICTURES_BYTES + picture * PICTURE_BYTES;
}

// The last picture alone.
static void capture(Batch& b, i32 index) {
    const Console& s = b.console[index];
    const u8* picture = picture_of(b, index, true);
    for (i32 channel = 0; channel < b.settings.channels; channel++)
        grey_picture(table(b, s, channel), picture, s.height, planes_of(b, index) + channel * PICTURE_BYTES);
}

// The picture before the last, into the maximum.
static void capture_earlier(Batch& b, i32 index, i32 thread, bool held) {
    const Console& s = b.console[index];
    Scratch& scratch = *b.scratch[thread];
    const u8* other = picture_of(b, index, false);
    for (i32 channel = 0; channel < b.settings.channels; channel++) {
        grey_picture(table(b, s, channel), held ? scratch.held : other, s.height, scratch.plane);
        raise_to(planes_of(b, index) + channel * PICTURE_BYTES, scratch.plane, s.height * PIXELS);
    }
}

static void take_kept(Batch& b, i32 index, const KeptStart& start) {
    take_start(b.console[index], b.generators[index], start);
    memcpy(b.pictures + (size_t)index * PICTURES_BYTES, start.pictures.data(), start.pictures.size());
    memcpy(planes_of(b, index), start.planes.data(), start.planes.size());
}

static void keep(Batch& b, i32 index, KeptStart& start, const Env& e, i32 frames_before) {
    std::lock_guard<std::mutex> lock(b.starts_mutex);
    if (start.ready) return;
    keep_start(start, e, frames_before);
    const u8* pictures = b.pictures + (size_t)index * PICTURES_BYTES;
    start.pictures.assign(pictures, pictures + PICTURES_BYTES);
    start.planes.assign(planes_of(b, index), planes_of(b, index) + plane_bytes(b));
    start.ready = true;
}

// A new game: FIRE where it is asked for, then a random number of no-ops.
static void start_episode(Batch& b, i32 index, i32 thread) {
    const Settings& set = b.settings;
    Env e = b.env(index, thread, DRAW_EXACTLY);
    const i32 drawn = draw_noops(e, set);
    b.episodes[index].elapsed = 0;
    b.episodes[index].over = 0;
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

static void report(Batch& b, i32 index, const Frames& frames, bool ended) {
    const Console& s = b.console[index];
    b.order.out.results[index] = StepResult{
        frames.reward, lives(s), frames.terminated | frames.life_lost, frames.truncated, s.frame_number,
        s.episode_frame_number, ended, lives(s), s.frame_number, s.episode_frame_number};
}

// The next game's, beside what the last one came to.
static void report_start(Batch& b, i32 index) {
    const Console& s = b.console[index];
    StepResult& result = b.order.out.results[index];
    result.lives = lives(s), result.frame_number = s.frame_number;
    result.episode_frame_number = s.episode_frame_number;
}

static const Frames NO_FRAMES = {0, 0, 0, 0, 0, 0};

// The observation as it was last made.
static void show(Batch& b, i32 index, i32 thread) {
    const size_t all = (size_t)frame_bytes(b.settings) * (size_t)b.settings.stack;
    u8* out = b.order.out.observation ? b.order.out.observation + (size_t)index * all : nullptr;
    if (out && b.settings.stack == 1) make_frame(b, index, thread, out);
    if (out && b.settings.stack > 1) memcpy(out, b.stacks + (size_t)index * all, all);
    report(b, index, NO_FRAMES, b.episodes[index].over != 0);
}

static void reset_env(Batch& b, i32 index, i32 thread) {
    start_episode(b, index, thread);
    if (b.order.out.observation) observe(b, index, thread, b.order.out.observation, true);
    report(b, index, NO_FRAMES, false);
}

static void step_env(Batch& b, i32 index, i32 thread) {
    const Settings& set = b.settings;
    const Outputs& out = b.order.out;
    Episode& episode = b.episodes[index];
    if (episode.over) {
        if (set.reset_mode == RESET_NEVER)
            show(b, index, thread);
        else
            reset_env(b, index, thread);
        return;
    }
    Env e = b.env(index, thread, DRAW_LINES);
    if (b.order.paddle_steps) e.paddle_step = b.order.paddle_steps[index];
    const bool drawn = out.observation != nullptr && set.channels > 0;
    const Console kept = e.s;
    const Frames frames = play_step(e, kept, episode, set, set.action[b.order.actions[index]], drawn, 0);
    if (drawn) {
        const i32 usual = set.frame_skip < 2 ? set.frame_skip : 2;
        if (frames.captured == usual) capture(b, index);
        if (frames.captured > 0 && usual == 2 && set.max_pool) capture_earlier(b, index, thread, frames.held != 0);
    }
    const bool ended = frames.terminated || frames.truncated;
    const bool starts = ended && set.reset_mode == RESET_IN_STEP;
    report(b, index, frames, ended);
    if (starts) {
        if (out.observation) observe(b, index, thread, out.final_observation, false);
        start_episode(b, index, thread);
        report_start(b, index);
    } else {
        episode.over = ended;
    }
    if (out.observation) observe(b, index, thread, out.observation, starts);
}

static void obey(Batch& b, i32 index, i32 thread) {
    const i32 operation = b.order.operation;
    if (operation == OPERATION_SHOW) {
        show(b, index, thread);
        return;
    }
    // What was never loaded is loaded with seed 0: there is no other state to go on from.
    const bool is_seed = operation == OPERATION_SEED;
    if (is_seed || b.console[index].height == 0) {
        Env e = b.env(index, thread, DRAW_EXACTLY);
        load_for(e, b.settings, is_seed ? b.order.seeds[index] : 0);
    }
    if (operation == OPERATION_STEP)
        step_env(b, index, thread);
    else
        reset_env(b, index, thread);
}
