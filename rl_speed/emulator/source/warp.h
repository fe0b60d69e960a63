// Turns: on the GPU 32 consoles share one stream of instructions, a warp, and those that do something else have to wait.
// A turn goes to the console that is furthest behind in time, and all that are at the same place take it with it: so
// consoles that parted meet again, and what is done in a turn is one thing. On the CPU a turn is always one's own.
#pragma once
#include "platform.h"

#define TURNS_OF_PROCESSOR 0
#define TURNS_OF_REPLAY 1

struct Turn {
    bool over;  // nobody waits any more
    i32 place;  // whose turn it is
};

#ifdef __CUDACC__

// Whoever got here at the same time. A GPU does not promise to let lanes wait for each other: where it is known who will
// come, that is better.
INLINE u32 arrived_together() { return __activemask(); }

// Those of them that go on, and will come to the next turn; all wait for all.
INLINE u32 going_on(u32 lanes, bool goes_on) { return __ballot_sync(lanes, goes_on); }

INLINE u32 least_of(u32 lanes, u32 value) {
#if __CUDA_ARCH__ >= 800
    return __reduce_min_sync(lanes, value);
#else
    u32 least = value;
    for (u32 rest = lanes; rest; rest &= rest - 1) {
        const u32 other = __shfl_sync(lanes, value, __ffs(rest) - 1);
        least = other < least ? other : least;
    }
    return least;
#endif
}

#define LATEST_TIME 0x03FFFFFF
#define NOBODY 0xFFFFFFFFu

INLINE Turn next_turn(u32 lanes, bool waits, i32 time, i32 place, i32 kind) {
    const u32 until = (u32)time < LATEST_TIME ? (u32)time : LATEST_TIME - 1;
    const u32 first = least_of(lanes, waits ? (until << 5) | (threadIdx.x & 31) : NOBODY);
    if (first == NOBODY) return {true, 0};
    const i32 chosen = __shfl_sync(lanes, place, (i32)(first & 31));
#ifdef SIMULATED
    simulated_turn(kind, (first & 31) == (threadIdx.x & 31), waits && place == chosen);
#endif
    (void)kind;
    return {false, chosen};
}

#else

INLINE u32 arrived_together() { return 0; }
INLINE u32 going_on(u32, bool) { return 0; }
INLINE Turn next_turn(u32, bool waits, i32, i32 place, i32) { return {!waits, place}; }

#endif
