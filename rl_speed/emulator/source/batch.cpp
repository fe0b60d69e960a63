// Many consoles on the CPU: the functions that Python calls. Each call works on consoles that are rows of arrays which
// Python owns, so that a save is a copy of rows.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "observe.h"
#include "grey.h"

struct KeptStart : Start {
    std::atomic<bool> ready{false};
    u8 pictures[2 * PICTURE_BYTES], grey[PICTURE_BYTES];
};

struct LoggedFrame : Frame {
    u32 notes[LOG_ENTRIES];
    LoggedFrame() : Frame() { log = notes; }
};

struct Batch {
    i32 consoles, threads;
    std::vector<u8> rom;
    Settings settings;
    Axis columns, rows[2];  // of the usual height, and of the one a PAL picture gets
    i32 row_heights[2];
    Console* console;
    Generators* generators;
    u8* pictures;
    u8* grey;  // consoles x MAX_ROWS x PIXELS: the maximum of the last two frames
    Episode* episodes;
    std::vector<LoggedFrame*> frames;  // one per thread
    std::vector<Scratch*> scratch;
    std::vector<std::unique_ptr<KeptStart>> starts;  // by the number of no-ops drawn
    std::mutex starts_mutex;

    std::function<void(i32, i32)> work;
    std::vector<std::thread> workers;
    std::mutex mutex;
    std::condition_variable wake, finished;
    std::atomic<i32> next{0};
    i32 generation = 0, busy = 0;
    bool closing = false;

    Env env(i32 index, i32 thread, i32 drawing) {
        return Env{console[index], generators[index], pictures + (size_t)index * 2 * PICTURE_BYTES, rom.data(),
                   *frames[thread], drawing, 0, 0, 0, scratch[thread]->held};
    }
};

static void take_consoles(Batch& b, i32 thread) {
    for (;;) {
        i32 index = b.next.fetch_add(1);
        if (index >= b.consoles) return;
        b.work(index, thread);
    }
}

static void worker(Batch* b, i32 thread) {
    i32 seen = 0;
    for (;;) {
        {
            std::unique_lock<std::mutex> lock(b->mutex);
            b->wake.wait(lock, [&] { return b->closing || b->generation != seen; });
            if (b->closing) return;
            seen = b->generation;
        }
        take_consoles(*b, thread);
        std::lock_guard<std::mutex> lock(b->mutex);
        if (--b->busy == 0) b->finished.notify_all();
    }
}

static void start(Batch& b, std::function<void(i32, i32)> work) {
    std::unique_lock<std::mutex> lock(b.mutex);
    b.finished.wait(lock, [&] { return b.busy == 0; });
    b.work = std::move(work);
    b.next = 0;
    b.busy = b.threads;
    b.generation++;
    b.wake.notify_all();
}

static void finish(Batch& b) {
    std::unique_lock<std::mutex> lock(b.mutex);
    b.finished.wait(lock, [&] { return b.busy == 0; });
}

#include "step.h"

extern "C" {

void emulator_sizes(i32* sizes) { write_sizes(sizes); }

void emulator_close(Batch* b) {
    {
        std::lock_guard<std::mutex> lock(b->mutex);
        b->closing = true;
        b->wake.notify_all();
    }
    for (auto& thread : b->workers) thread.join();
    for (auto* frame : b->frames) delete frame;
    for (auto* scratch : b->scratch) delete scratch;
    delete b;
}

// Null if the system gives no more threads.
Batch* emulator_open(i32 consoles, i32 threads, const u8* rom, i32 rom_bytes, const Settings* settings, void* console,
                     void* generators, u8* pictures, u8* grey, void* episodes) {
    Batch* b = new Batch();
    b->consoles = consoles;
    b->threads = threads;
    b->rom.assign(rom, rom + rom_bytes);
    b->settings = *settings;
    b->console = (Console*)console;
    b->generators = (Generators*)generators;
    b->pictures = pictures;
    b->grey = grey;
    b->episodes = (Episode*)episodes;
    make_axis(b->columns, PIXELS, settings->width, true);
    b->row_heights[0] = HEIGHT;
    b->row_heights[1] = HEIGHT == 210 ? 250 : HEIGHT;
    for (i32 k = 0; k < 2; k++) make_axis(b->rows[k], b->row_heights[k], settings->height, false);
    for (i32 t = 0; t < threads + 1; t++) {
        b->frames.push_back(new LoggedFrame());
        b->scratch.push_back(new Scratch());
    }
    if (settings->cache_starts)
        for (i32 k = 0; k < number_of_starts(*settings); k++) b->starts.emplace_back(new KeptStart());
    // The last Frame is for calls that work on one console, in the caller's thread.
    try {
        for (i32 t = 0; t < threads; t++) b->workers.emplace_back(worker, b, t);
    } catch (const std::system_error&) {
        emulator_close(b);
        return nullptr;
    }
    return b;
}

// seen: a byte per bank and address (see Frame::coverage), or null. Only the interpreter fills it.
void emulator_coverage(Batch* b, u8* seen) {
    for (auto* frame : b->frames) frame->coverage = seen;
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
    memcpy(picture, b->pictures + ((size_t)index * 2 + s.picture) * PICTURE_BYTES, PICTURE_BYTES);
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

void batch_seed(Batch* b, const u32* seeds, const u8* mask, u8* observation, StepResult* results) {
    start(*b, [=](i32 index, i32 thread) {
        if (!mask || mask[index]) seed_env(*b, index, thread, seeds[index], observation, results);
    });
    finish(*b);
}

void batch_send(Batch* b, const i32* actions, u8* observation, u8* final_observation, StepResult* results) {
    start(*b, [=](i32 index, i32 thread) {
        step_env(*b, index, thread, actions[index], observation, final_observation, results);
    });
}

void batch_wait(Batch* b) { finish(*b); }
}
