// Many consoles on the CPU: the functions that Python calls. Each call works on consoles that are rows of arrays which
// Python owns, so that a save is a copy of rows.
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "observe.h"
#include "grey.h"
#include "workers.h"

struct KeptStart : Start {
    std::atomic<bool> ready{false};
    std::vector<u8> pictures, planes;
};

struct LoggedFrame : Frame {
    u32 notes[LOG_ENTRIES];
    LoggedFrame() : Frame() { log = notes; }
};

// Where a step's results go: one row for each console.
struct Outputs {
    u8* observation;        // consoles x stack x frame; null: nothing is drawn
    u8* final_observation;  // the same, of games that ended and have started anew
    StepResult* results;
};

#define OPERATION_STEP 0
#define OPERATION_RESET 1
#define OPERATION_SEED 2
#define OPERATION_SHOW 3  // the observation again

// What the consoles do, from one `batch_give` to the next.
struct Order {
    i32 operation, unused;
    const i32* actions;       // indices into Settings::action
    const i32* paddle_steps;  // see Env; null: the usual one
    const u32* seeds;
    Outputs out;
};

struct Batch {
    i32 consoles, threads;
    std::vector<u8> rom;
    Settings settings;
    Picks picks;
    Axis columns, rows[2];  // of the usual height, and of the one a PAL picture gets
    i32 row_heights[2];
    Console* console;
    Generators* generators;
    u8* pictures;
    u8* planes;  // consoles x channels x MAX_ROWS x PIXELS: the maximum of the last two frames
    Episode* episodes;
    u8* stacks;  // consoles x stack x frame: the last observations, where frames are stacked
    std::vector<std::unique_ptr<LoggedFrame>> frames;  // one per thread, and one for the caller's
    std::vector<std::unique_ptr<Scratch>> scratch;
    std::vector<std::unique_ptr<KeptStart>> starts;  // by the number of no-ops drawn
    std::mutex starts_mutex;
    Order order;
    std::unique_ptr<Workers> workers;

    Env env(i32 index, i32 thread, i32 drawing) {
        return Env{console[index], generators[index], pictures + (size_t)index * PICTURES_BYTES, rom.data(),
                   *frames[thread], drawing, 0, 0, 0, scratch[thread]->held, PADDLE_STEP};
    }
};

#include "step.h"

extern "C" {

void emulator_sizes(i32* sizes) { write_sizes(sizes); }

void emulator_close(Batch* b) { delete b; }

// Null if the system gives no more threads. first_core: see Workers::begin.
Batch* emulator_open(i32 consoles, i32 threads, i32 first_core, const u8* rom, i32 rom_bytes, const Settings* settings,
                     void* console, void* generators, u8* pictures, u8* planes, void* episodes, u8* stacks) {
    std::unique_ptr<Batch> b(new Batch());
    b->consoles = consoles;
    b->threads = threads;
    b->rom.assign(rom, rom + rom_bytes);
    b->settings = *settings;
    b->console = (Console*)console;
    b->generators = (Generators*)generators;
    b->pictures = pictures;
    b->planes = planes;
    b->episodes = (Episode*)episodes;
    b->stacks = stacks;
    make_axis(b->columns, PIXELS, settings->width, true);
    make_picks(b->picks, b->columns);
    b->row_heights[0] = HEIGHT;
    b->row_heights[1] = HEIGHT == 210 ? 250 : HEIGHT;
    for (i32 k = 0; k < 2; k++) make_axis(b->rows[k], b->row_heights[k], settings->height, false);
    for (i32 t = 0; t < threads + 1; t++) {
        b->frames.emplace_back(new LoggedFrame());
        b->scratch.emplace_back(new Scratch());
    }
    if (settings->cache_starts)
        for (i32 k = 0; k < number_of_starts(*settings); k++) b->starts.emplace_back(new KeptStart());
    Batch* batch = b.get();
    b->workers.reset(new Workers(consoles, threads, [batch](i32 index, i32 thread) { obey(*batch, index, thread); }));
    return b->workers->begin(first_core) ? b.release() : nullptr;
}

// Plays frames on a console of its own, which starts anew where a game ends; only the interpreter can tell what it ran.
// seen: a byte per bank and address, see Frame::coverage.
void emulator_find_code(const u8* rom, i32 mode, const i32* actions, i32 count, u8* seen) {
    std::unique_ptr<Console> s(new Console());
    std::unique_ptr<Generators> g(new Generators());
    std::unique_ptr<LoggedFrame> frame(new LoggedFrame());
    std::vector<u8> pictures(PICTURES_BYTES + PICTURE_BYTES);
    frame->coverage = seen;
    Env e = Env{*s, *g, pictures.data(), rom, *frame, DRAW_EXACTLY, 0, 0, 0, pictures.data() + PICTURES_BYTES,
                PADDLE_STEP};
    load_rom(e, 0, mode, 0, 0.0);
    for (i32 k = 0; k < count; k++) {
        act(e, actions[k], 0.0);
        if (game_over(e.s)) reset_game(e, 0.0);
    }
}

// --- one console, exactly drawn ---

void console_load(Batch* b, i32 index, u32 seed) {
    Env e = b->env(index, b->threads, DRAW_EXACTLY);
    load_rom(e, seed, b->settings.default_mode, 0, b->settings.stickiness);
    e.s.mode = b->settings.mode;
    e.s.difficulty = b->settings.difficulty;
}

void console_reset(Batch* b, i32 index) {
    Env e = b->env(index, b->threads, DRAW_EXACTLY);
    reset_game(e, b->settings.stickiness);
}

i32 console_act(Batch* b, i32 index, i32 action) {
    Env e = b->env(index, b->threads, DRAW_EXACTLY);
    return act(e, action, b->settings.stickiness);
}

void console_choose(Batch* b, i32 index, i32 mode, i32 difficulty) {
    b->console[index].mode = mode;
    b->console[index].difficulty = difficulty;
}

// ram: 128 bytes; picture: MAX_ROWS x PIXELS; numbers: reward, lives, over, frame, episode frame, height, is PAL, and
// the processor's registers.
void console_look(Batch* b, i32 index, u8* ram, u8* picture, i32* numbers) {
    const Console& s = b->console[index];
    memcpy(ram, s.ram, 128);
    memcpy(picture, b->pictures + (size_t)index * PICTURES_BYTES + s.picture * PICTURE_BYTES, PICTURE_BYTES);
    i32 values[] = {s.rule[REWARD], lives(s), game_over(s), s.frame_number, s.episode_frame_number, s.height, s.is_pal,
                    s.cyc, s.pc, s.a, s.x, s.y, s.sp, s.lines_of_last_frame, s.unfinished, s.jammed};
    memcpy(numbers, values, sizeof(values));
}

i32 console_is_over(Batch* b, i32 index) { return game_over(b->console[index]); }

void console_poke(Batch* b, i32 index, i32 address, i32 value) { b->console[index].ram[address & 0x7F] = (u8)value; }

// values: program counter, A, X, Y, stack pointer, flags.
void console_set_registers(Batch* b, i32 index, const i32* values) {
    Console& s = b->console[index];
    Cpu p(s, *b->frames[b->threads]);
    p.pc = values[0] & 0xFFFF;
    p.a = values[1] & 0xFF, p.x = values[2] & 0xFF, p.y = values[3] & 0xFF, p.sp = values[4] & 0xFF;
    p.set_flags(values[5]);
    p.save();
}

// --- all consoles, as an agent sees them ---

// Starts what `order` says, in the consoles of `indices` or in all. What an order points to is read and written until its
// consoles are collected; a new order waits for those that are not.
void batch_give(Batch* b, const Order* order, const i32* indices, i32 count) {
    if (memcmp(&b->order, order, sizeof(Order)) != 0) {
        b->workers->collect(b->workers->outstanding(), nullptr);
        b->order = *order;
    }
    b->workers->give(indices, count, false);
}

// Waits for `count` consoles, in the order in which they are done, and no more than play; indices: which, or null.
i32 batch_collect(Batch* b, i32 count, i32* indices) { return b->workers->collect(count, indices); }

i32 batch_outstanding(Batch* b) { return b->workers->outstanding(); }

// Both at once, with the caller's thread at work too.
void batch_run(Batch* b, const Order* order, const i32* indices, i32 count) {
    b->workers->collect(b->workers->outstanding(), nullptr);
    b->order = *order;
    b->workers->give(indices, count, true);
    b->workers->collect(count, nullptr);
}
}
