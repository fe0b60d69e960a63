// Threads that take jobs in the order in which they are given. A job is the number of a console, and no console has two at
// once. Taking one and telling of its end needs no lock: a lock is for threads that have nothing to do.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "platform.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

class Workers {
  public:
    // work(console, thread): threads are 0 .. threads - 1, and `threads` for whoever waits.
    Workers(i32 consoles, i32 threads, std::function<void(i32, i32)> work)
        : slots(power_of_two(consoles)), threads(threads), work(std::move(work)), jobs(new std::atomic<i32>[slots]),
          ended(new std::atomic<i32>[slots]) {
        for (u32 k = 0; k < slots; k++) ended[k] = NOBODY;
    }

    // first_core: of the first thread, the next one has the next core; below 0 the system chooses. False if the system
    // gives no more threads.
    bool begin(i32 first_core) {
        try {
            for (i32 t = 0; t < threads; t++) {
                pool.emplace_back(&Workers::live, this, t);
                if (first_core >= 0) bind(pool.back(), first_core + t);
            }
        } catch (const std::system_error&) {
            return false;
        }
        return true;
    }

    ~Workers() {
        {
            std::lock_guard<std::mutex> lock(mutex);
            closing.store(true);
        }
        wake.notify_all();
        for (auto& thread : pool) thread.join();
    }

    // `helps`: the caller will wait at once, and work meanwhile; so one thread less is woken.
    void give(const i32* indices, i32 count, bool helps) {
        u32 end = given.load(std::memory_order_relaxed);
        for (i32 k = 0; k < count; k++) jobs[(end + (u32)k) % slots].store(indices ? indices[k] : k);
        given.store(end + (u32)count);
        i32 sleepers = (count < threads ? count : threads) - (helps ? 1 : 0);
        if (sleepers <= 0) return;
        std::lock_guard<std::mutex> lock(mutex);
        if (sleepers >= asleep)
            wake.notify_all();
        else
            for (; sleepers > 0; sleepers--) wake.notify_one();
    }

    // Waits until `count` more jobs have ended, and says which; in the order in which they ended. Returns how many: no
    // more than were given.
    i32 collect(i32 count, i32* indices) {
        if (count > outstanding()) count = outstanding();
        const u32 target = collected + (u32)count;
        wanted.store(target);
        i32 index;
        while ((i32)(finished.load() - target) < 0 && asleep.load() > 0 && take(index)) run(index, threads);
        if ((i32)(finished.load() - target) < 0) {
            std::unique_lock<std::mutex> lock(mutex);
            enough.wait(lock, [&] { return (i32)(finished.load() - target) >= 0; });
        }
        for (; collected != target; collected++) {
            std::atomic<i32>& place = ended[collected % slots];
            // Its number may be told a moment after the count of another that ended later.
            while ((index = place.load()) == NOBODY) std::this_thread::yield();
            place.store(NOBODY);
            if (indices) *indices++ = index;
        }
        return count;
    }

    // Jobs that were given and not collected.
    i32 outstanding() const { return (i32)(given.load() - collected); }

  private:
    static const i32 NOBODY = -1;

    static u32 power_of_two(i32 least) {
        u32 power = 1;
        while (power < (u32)least) power *= 2;
        return power;
    }

    bool take(i32& index) {
        u32 next = taken.load();
        while (next != given.load()) {
            index = jobs[next % slots].load();
            if (taken.compare_exchange_weak(next, next + 1)) return true;
        }
        return false;
    }

    void run(i32 index, i32 thread) {
        work(index, thread);
        ended[told.fetch_add(1) % slots].store(index);
        if (finished.fetch_add(1) + 1 == wanted.load()) {
            std::lock_guard<std::mutex> lock(mutex);
            enough.notify_all();
        }
    }

    void live(i32 thread) {
        for (;;) {
            i32 index;
            while (!closing.load() && take(index)) run(index, thread);
            std::unique_lock<std::mutex> lock(mutex);
            asleep++;
            wake.wait(lock, [&] { return closing.load() || taken.load() != given.load(); });
            asleep--;
            if (closing.load()) return;
        }
    }

    static void bind(std::thread& thread, i32 core) {
#if defined(__linux__)
        cpu_set_t cores;
        CPU_ZERO(&cores);
        if (core < CPU_SETSIZE) CPU_SET(core, &cores);
        // A core that is not there leaves the choice to the system.
        pthread_setaffinity_np(thread.native_handle(), sizeof(cores), &cores);
#else
        (void)thread, (void)core;
#endif
    }

    const u32 slots;  // a power of two, so that the rings go on where counts begin anew at 2^32
    const i32 threads;
    const std::function<void(i32, i32)> work;
    // Rings: the jobs from `taken` to `given` wait, those from `collected` to `told` have ended.
    std::unique_ptr<std::atomic<i32>[]> jobs, ended;
    std::atomic<u32> given{0}, taken{0}, told{0}, finished{0}, wanted{0};
    u32 collected = 0;

    std::vector<std::thread> pool;
    std::mutex mutex;
    std::condition_variable wake, enough;
    std::atomic<i32> asleep{0};
    std::atomic<bool> closing{false};
};
