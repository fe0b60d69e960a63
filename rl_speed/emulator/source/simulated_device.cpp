// kernels.cu on the CPU, so that it can be tested, and its turns counted, where there is no GPU.
//
// Every thread of a block is a fiber with a stack of its own. It runs until it needs the others: a value from another
// lane, a barrier, or to know who arrived with it. When all have come so far, those that have what they need go on.
// `splits` makes groups that arrive together fall apart at random, as a real GPU may do: results must not depend on it.
#include <csetjmp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <ucontext.h>
#include <vector>

#define __CUDACC__
#define __CUDA_ARCH__ 800
#define SIMULATED
#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)

struct Place {
    int x;
};
static Place threadIdx, blockIdx;

enum Need { NOTHING, TOGETHER, LEAST, SHUFFLE, BALLOT, BARRIER };

struct Fiber {
    ucontext_t beginning;
    jmp_buf here;
    bool begun, finished;
    Need need;
    uint32_t lanes, value, answer;
    int source;
    void* site;  // from where it asks
};

static const int MOST_THREADS = 256;
static const size_t STACK_BYTES = 256 * 1024;
static Fiber fibers[MOST_THREADS];
static std::vector<char> stacks;
static jmp_buf outside;
static int current;
static void (*body)();

static std::mt19937 generator;
static bool splits;
static int64_t turns[2], turns_taken[2];

static __attribute__((noinline)) uint32_t wait_for(Need need, uint32_t lanes, uint32_t value, int source) {
    Fiber& f = fibers[current];
    f.need = need, f.lanes = lanes, f.value = value, f.source = source;
    f.site = __builtin_return_address(0);
    if (!_setjmp(f.here)) _longjmp(outside, 1);
    return fibers[current].answer;
}

static inline uint32_t __activemask() { return wait_for(TOGETHER, 0, 0, 0); }
static inline uint32_t __reduce_min_sync(uint32_t lanes, uint32_t value) { return wait_for(LEAST, lanes, value, 0); }
static inline int __shfl_sync(uint32_t lanes, int value, int source) {
    return (int)wait_for(SHUFFLE, lanes, (uint32_t)value, source);
}
static inline uint32_t __ballot_sync(uint32_t lanes, bool vote) { return wait_for(BALLOT, lanes, vote, 0); }
static inline void __syncthreads() { wait_for(BARRIER, 0, 0, 0); }
static inline int __ffs(uint32_t word) { return __builtin_ffs((int)word); }

static inline void simulated_turn(int kind, bool is_first, bool takes_part) {
    turns[kind] += is_first;
    turns_taken[kind] += takes_part;
}

#include "kernels.cu"

static void begin() {
    body();
    fibers[current].finished = true;
    _longjmp(outside, 1);
}

static __attribute__((noinline)) void go_on(int number) {
    current = number;
    threadIdx.x = number;
    if (_setjmp(outside)) return;
    Fiber& f = fibers[number];
    if (f.begun) _longjmp(f.here, 1);
    f.begun = true;
    setcontext(&f.beginning);
}

static void release(Fiber& f, uint32_t answer) {
    f.need = NOTHING;
    f.answer = answer;
}

// The lanes of a warp that have all they need. True if there were any.
static bool release_warp(int first, int count) {
    bool any = false;
    for (int lane = 0; lane < count; lane++) {
        Fiber& f = fibers[first + lane];
        if (f.finished || (f.need != LEAST && f.need != SHUFFLE && f.need != BALLOT)) continue;
        const Need need = f.need;
        const uint32_t lanes = f.lanes;
        bool all = count >= 32 || !(lanes >> count);  // nobody else ever comes
        uint32_t least = 0xFFFFFFFFu, votes = 0;
        for (int other = 0; other < count; other++) {
            if (!((lanes >> other) & 1)) continue;
            const Fiber& o = fibers[first + other];
            all = all && !o.finished && o.need == need && o.lanes == lanes;
            if (o.value < least) least = o.value;
            votes |= (o.value ? 1u : 0u) << other;
        }
        if (!all) continue;
        any = true;
        uint32_t values[32];
        for (int other = 0; other < count; other++) values[other] = fibers[first + other].value;
        for (int other = 0; other < count; other++)
            if ((lanes >> other) & 1) {
                Fiber& o = fibers[first + other];
                release(o, need == SHUFFLE ? values[o.source] : need == LEAST ? least : votes);
            }
    }
    if (any) return true;
    for (int lane = 0; lane < count; lane++) {
        const Fiber& f = fibers[first + lane];
        if (f.finished || f.need != TOGETHER) continue;
        // Those who ask from the same place.
        uint32_t together = 0;
        for (int other = lane; other < count; other++) {
            const Fiber& o = fibers[first + other];
            const bool there = !o.finished && o.need == TOGETHER && o.site == f.site;
            if (there && !(splits && generator() % 4 == 0)) together |= 1u << other;
        }
        for (int other = lane; other < count; other++)
            if ((together >> other) & 1) release(fibers[first + other], together);
        any = any || together != 0;
    }
    return any;
}

static bool release_some(int threads) {
    bool any = false;
    for (int first = 0; first < threads; first += 32) any |= release_warp(first, threads - first < 32 ? threads - first : 32);
    if (any) return true;
    bool splitting = false;
    for (int n = 0; n < threads; n++) {
        splitting |= !fibers[n].finished && fibers[n].need == TOGETHER;
        if (!fibers[n].finished && fibers[n].need != BARRIER) any = true;
    }
    if (any) return splitting && splits;  // the next try may release some
    for (int n = 0; n < threads; n++) release(fibers[n], 0);
    return true;
}

// False if its threads wait for each other for ever.
static bool run_block(int threads) {
    for (int n = 0; n < threads; n++) {
        Fiber& f = fibers[n];
        f.begun = f.finished = false;
        f.need = NOTHING;
        getcontext(&f.beginning);
        f.beginning.uc_stack.ss_sp = stacks.data() + n * STACK_BYTES;
        f.beginning.uc_stack.ss_size = STACK_BYTES;
        f.beginning.uc_link = nullptr;
        makecontext(&f.beginning, begin, 0);
    }
    for (;;) {
        bool finished = true;
        for (int n = 0; n < threads; n++) {
            if (!fibers[n].finished && fibers[n].need == NOTHING) go_on(n);
            finished = finished && fibers[n].finished;
        }
        if (finished) return true;
        if (!release_some(threads)) return false;
    }
}

static void** given;

template <class T> static T argument(int n) { return *(T*)given[n]; }

static void call_run_consoles() {
    run_consoles(argument<Arrays>(0), argument<i32>(1), argument<Inputs>(2), argument<i32>(3));
}
static void call_make_frames() {
    make_frames(argument<Arrays>(0), argument<u8*>(1), argument<u8*>(2), argument<i32>(3));
}
static void call_structure_sizes() { structure_sizes(argument<i32*>(0)); }
static void call_make_axes() {
    make_axes(argument<Axis*>(0), argument<Axis*>(1), argument<i32>(2), argument<i32>(3), argument<i32>(4));
}

extern "C" {

// 0: done; 1: no such kernel, or too many threads; 2: its threads wait for each other for ever.
i32 simulated_launch(const char* kernel, i32 blocks, i32 threads, void** arguments) {
    body = !strcmp(kernel, "run_consoles")      ? call_run_consoles
           : !strcmp(kernel, "make_frames")     ? call_make_frames
           : !strcmp(kernel, "structure_sizes") ? call_structure_sizes
           : !strcmp(kernel, "make_axes")       ? call_make_axes
                                                : nullptr;
    if (!body || threads > MOST_THREADS) return 1;
    stacks.resize(MOST_THREADS * STACK_BYTES);
    given = arguments;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        if (!run_block(threads)) return 2;
    return 0;
}

// seed: of the groups' falling apart; 0: they do not.
void simulated_splits(u32 seed) {
    splits = seed != 0;
    generator.seed(seed);
}

// Since the last call: turns of processors and of replays, and how often a lane took part in one.
void simulated_turns(long long* counts) {
    for (i32 kind = 0; kind < 2; kind++) {
        counts[2 * kind] = turns[kind];
        counts[2 * kind + 1] = turns_taken[kind];
        turns[kind] = turns_taken[kind] = 0;
    }
}
}
