// The 6507. Its instructions are written by instructions.py from the table of opcodes, in terms of what stands here:
// once as a switch for the interpreter, and once for each instruction of a known ROM, with the operand as a constant.
//
// Every access of an instruction sees the time at which the instruction ends. `bus` is the last byte read or written
// by anyone: the TIA answers with it on the lines that it does not drive.
#pragma once
#include "cartridge.h"
#include "replay.h"
#include "riot.h"

#define INSTRUCTIONS_PER_FRAME 25000

// On the GPU only writes to the TIA, which are noted and no more, stand where they are made.
#ifdef __CUDACC__
#define IO_WRITTEN_OUT false
#else
#define IO_WRITTEN_OUT true
#endif

#ifdef __CUDACC__
#define MEMBER __device__ __forceinline__
#else
#define MEMBER inline __attribute__((always_inline))
#endif

// Bit 7 of INPT0..INPT3: a capacitor that charges through the paddle's resistance once the dump to ground is off.
INLINE bool pot_charged(const Console& s, i32 input, i32 cyc) {
    bool left = input < 2;
    if (left ? !LEFT_PADDLES : !RIGHT_PADDLES) return false;
    if (!left || s.detecting) return true;
    if (s.dump_on) return false;
    i32 needed = ((input ^ SWAP_PADDLES) & 1) ? s.paddle1_cycles : s.paddle0_cycles;
    // Unsigned: a dump that ended in an earlier frame is a huge number of cycles, never reached.
    return (u32)cyc > (u32)s.dump_off + (u32)needed;
}

// --- TIA and RIOT, as the processor meets them ---

INLINE void note(Console& s, Frame& f, i32 cyc, i32 address, i32 value) {
    if (unlikely(f.entries == LOG_ENTRIES || cyc >= LATEST_NOTE)) {
        note_slowly(s, f, cyc, address, value);
        return;
    }
    f.log[f.entries * LOG_STRIDE] = note_of(cyc, address, value);
    f.entries++;
}

INLINE i32 tia_read(Console& s, Frame& f, i32 address, i32 cyc, i32 bus) {
    i32 lines = bus & 0x3F;
    if (address < 8) return collision_read(s, f, address, 3 * cyc) | lines;
    if (f.drawing == DRAW_EXACTLY) note(s, f, cyc, REGISTER_NONE, 0);
    if (address < 12) return (pot_charged(s, address - 8, cyc) ? 0x80 : 0) | lines;
    if (address == 12) return (s.fire_left ? 0 : 0x80) | lines;
    if (address == 13) return (s.fire_right ? 0 : 0x80) | lines;
    return lines;
}

#define BITS(first, last) ((((u64)2 << (last)) - 1) & ~(((u64)1 << (first)) - 1))
// Registers of which a write is seen, and those of them that are only kept: a write of the value that was written last is
// no event, and most writes are such.
#define SEEN_REGISTERS (BITS(0x01, 0x01) | BITS(0x04, 0x14) | BITS(0x1B, 0x2C))
#define KEPT_REGISTERS \
    (BITS(0x01, 0x01) | BITS(0x06, 0x09) | BITS(0x0B, 0x0F) | BITS(0x1D, 0x27) | BITS(0x29, 0x29))

INLINE bool is_event(Console& s, i32 address, i32 value) {
    if (!((SEEN_REGISTERS >> address) & 1)) return false;
    const bool is_old = ((KEPT_REGISTERS >> address) & 1) && s.written[address] == value;
    s.written[address] = (u8)value;
    if (address == 0x2B)  // HMCLR
        for (i32 k = 0x20; k <= 0x24; k++) s.written[k] = 0;
    return !is_old;
}

INLINE void tia_write(Console& s, Frame& f, i32 address, i32 value, bool after_read, i32& cyc, i32& done) {
    if (is_event(s, address, value) || f.drawing == DRAW_EXACTLY) note(s, f, cyc, address, value);
    if (cyc >= f.cycle_limit) done = 1;
    if (address == 0x00) {
        i32 clock = 3 * cyc;
        if (value & 2) {
            s.finish = clock + CLOCKS_PER_LINE;
        } else if (clock >= s.finish) {
            s.finish = NEVER;
            done = 1;
        }
    } else if (address == 0x01) {
        i32 on = (value >> 7) & 1;
        if (s.dump_on && !on) s.dump_off = cyc;
        s.dump_on = on;
    } else if (address == 0x02 && after_read) {
        i32 over = (i32)((u32)(cyc - s.line0 / 3) % 76u);
        if (over) cyc += 76 - over;
    }
}

// Addresses with A12 clear that are not RAM.
INLINE i32 io_read(Console& s, Frame& f, i32 address, i32 cyc, i32 bus) {
    return (address & 0x80) ? riot_read(s, address & 0x1F, cyc) : tia_read(s, f, address & 0x0F, cyc, bus);
}

INLINE void io_write(Console& s, Frame& f, i32 address, i32 value, bool after_read, i32& cyc, i32& done) {
    if (address & 0x80)
        riot_write(s, address & 0x1F, value, cyc);
    else
        tia_write(s, f, address & 0x3F, value, after_read, cyc, done);
}

OUTLINE i32 io_read_outline(Console& s, Frame& f, i32 address, i32 cyc, i32 bus) {
    return io_read(s, f, address, cyc, bus);
}

// The time after the write, and in bit 32 whether it ended the frame.
OUTLINE u64 io_write_outline(Console& s, Frame& f, i32 address, i32 value, bool after_read, i32 cyc) {
    i32 done = 0;
    io_write(s, f, address, value, after_read, cyc, done);
    return (u64)(u32)cyc | ((u64)done << 32);
}

OUTLINE i32 read_outline(Console& s, Frame& f, i32 address, i32 cyc, i32 bus) {
    if (address & 0x1000) return cart_read(s, f.rom, address, cyc);
    if ((address & 0x280) == 0x80) return s.ram[address & 0x7F];
    return io_read(s, f, address, cyc, bus);
}

OUTLINE void write_outline(Console& s, i32 address, i32 value) {
    if (address & 0x1000)
        cart_write(s, address, value);
    else
        s.ram[address & 0x7F] = (u8)value;
}

struct Cpu {
    Console& s;
    Frame& f;
    i32 cyc, pc, a, x, y, sp, n, z, c, v, d, i, bus, done;

    MEMBER Cpu(Console& console, Frame& frame)
        : s(console), f(frame), cyc(s.cyc), pc(s.pc), a(s.a), x(s.x), y(s.y), sp(s.sp), n(s.flag_n), z(s.flag_z),
          c(s.flag_c), v(s.flag_v), d(s.flag_d), i(s.flag_i), bus(0), done(0) {}

    MEMBER void save() {
        s.cyc = cyc, s.pc = pc, s.a = a, s.x = x, s.y = y, s.sp = sp, s.flag_n = n, s.flag_z = z;
        s.flag_c = c, s.flag_v = v, s.flag_d = d, s.flag_i = i;
    }

    // --- accesses ---

    MEMBER i32 load(i32 address) {
        if (address & 0x1000)
            bus = cart_read(s, f.rom, address, cyc);
        else if ((address & 0x280) == 0x80)
            bus = s.ram[address & 0x7F];
        else
            bus = io_read_outline(s, f, address, cyc, bus);
        return bus;
    }

    MEMBER void store(i32 address, i32 value) {
        if (address & 0x1000)
            cart_write(s, address, value);
        else if ((address & 0x280) == 0x80)
            s.ram[address & 0x7F] = (u8)value;
        else
            io_write_outline(address, value, true);
        bus = value;
    }

    // The same for an address that is known when this is compiled: what is there is written out.

    template <i32 ADDRESS> MEMBER i32 load_at() {
        if (IO_WRITTEN_OUT && !(ADDRESS & 0x1000) && (ADDRESS & 0x280) != 0x80)
            return bus = io_read(s, f, ADDRESS, cyc, bus);
        return load(ADDRESS);
    }

    template <i32 ADDRESS> MEMBER void store_at(i32 value) {
        const bool io = !(ADDRESS & 0x1000) && (ADDRESS & 0x280) != 0x80;
        if (io && (IO_WRITTEN_OUT || !(ADDRESS & 0x80))) {
            io_write(s, f, ADDRESS, value, true, cyc, done);
            bus = value;
        } else {
            store(ADDRESS, value);
        }
    }

    MEMBER void io_write_outline(i32 address, i32 value, bool after_read) {
        u64 time = ::io_write_outline(s, f, address, value, after_read, cyc);
        cyc = (i32)(u32)time;
        done |= (i32)(time >> 32);
    }

    // Rounds of a loop that reads the timer until it is zero, READ cycles after each round of CYCLES began: those that do not
    // end it are left out, and one is always left to do. It is two instructions.
    template <i32 READ, i32 CYCLES> MEMBER void await_timer(i32& budget) {
        const u32 passed = (u32)(cyc + READ - 1) - (u32)s.timer_set;
        const u32 until_zero = s.timer_value > 0 ? (u32)(s.timer_value - 1) << s.timer_shift : 0;
        if (passed >= until_zero) return;
        const i32 ahead = (i32)((until_zero - passed - 1) / (u32)CYCLES) + 1, allowed = budget / 2 - 1;
        const i32 rounds = ahead < allowed ? ahead : allowed;
        if (rounds <= 0) return;
        cyc += rounds * CYCLES;
        budget -= 2 * rounds;
    }

    MEMBER i32 load_any(i32 address) { return bus = read_outline(s, f, address, cyc, bus); }

    MEMBER void store_any(i32 address, i32 value) {
        if ((address & 0x1000) || (address & 0x280) == 0x80)
            write_outline(s, address, value);
        else
            io_write_outline(address, value, true);
        bus = value;
    }

    MEMBER i32 fetch(i32 address) { return load_any(address & 0xFFFF); }
    MEMBER i32 fetch_word(i32 address) {
        i32 low = fetch(address);
        return low | (fetch(address + 1) << 8);
    }

    // --- stack: page 1 is RAM for SP >= 0x80, and the TIA below ---

    MEMBER void push(i32 value, bool after_read = true) {
        if (sp & 0x80) {
            s.ram[sp & 0x7F] = (u8)value;
        } else {
            // Two writes at the same clock are the one case in which a write of an old value draws for the next.
            if (!after_read) f.wants_exactness = 1;
            io_write_outline(sp, value, after_read);
        }
        bus = value;
        sp = (sp - 1) & 0xFF;
    }

    MEMBER i32 peek() {
        bus = (sp & 0x80) ? s.ram[sp & 0x7F] : io_read_outline(s, f, sp, cyc, bus);
        return bus;
    }

    MEMBER i32 pull() {
        sp = (sp + 1) & 0xFF;
        return peek();
    }

    // --- flags ---

    MEMBER void set_nz(i32 value) { n = z = value; }
    MEMBER i32 flags() const {
        return (n & 0x80) | (v ? 0x40 : 0) | 0x30 | (d ? 8 : 0) | (i ? 4 : 0) | (z == 0 ? 2 : 0) | (c ? 1 : 0);
    }
    MEMBER void set_flags(i32 p) {
        n = p & 0x80, v = (p >> 6) & 1, d = (p >> 3) & 1, i = (p >> 2) & 1, z = !(p & 2), c = p & 1;
    }

    // --- arithmetic ---

    static MEMBER i32 from_bcd(i32 b) { return 10 * (b >> 4) + (b & 15); }
    static MEMBER i32 to_bcd(i32 number) { return ((number % 100) / 10) * 16 + number % 10; }

    MEMBER void add(i32 m) {
        i32 result;
        if (unlikely(d)) {
            i32 sum = from_bcd(a) + from_bcd(m) + c;
            c = sum > 99;
            result = to_bcd(sum & 0xFF);
        } else {
            i32 sum = a + m + c;
            c = sum >> 8;
            result = sum & 0xFF;
        }
        v = ((a ^ result) & (result ^ m)) >> 7 & 1;
        set_nz(a = result);
    }

    MEMBER void subtract(i32 m) {
        if (unlikely(d)) {
            i32 difference = from_bcd(a) - from_bcd(m) - (1 - c);
            if (difference < 0) difference += 100;
            i32 result = difference < 0 ? from_bcd((256 + difference) & 0xFF) & 0xFF : to_bcd(difference);
            c = a >= m + (1 - c);
            v = ((a ^ result) & (result ^ m)) >> 7 & 1;
            set_nz(a = result);
        } else {
            add(m ^ 0xFF);
        }
    }

    MEMBER void compare(i32 reg, i32 m) {
        c = reg >= m;
        set_nz((reg - m) & 0xFF);
    }

    MEMBER i32 shift_left(i32 m) {
        c = m >> 7;
        set_nz(m = (m << 1) & 0xFF);
        return m;
    }
    MEMBER i32 shift_right(i32 m) {
        c = m & 1;
        set_nz(m >>= 1);
        return m;
    }
    MEMBER i32 rotate_left(i32 m) {
        i32 carry = c;
        c = m >> 7;
        set_nz(m = ((m << 1) | carry) & 0xFF);
        return m;
    }
    MEMBER i32 rotate_right(i32 m) {
        i32 carry = c;
        c = m & 1;
        set_nz(m = (m >> 1) | (carry << 7));
        return m;
    }

    MEMBER void test_bits(i32 m) {
        n = m;
        v = (m >> 6) & 1;
        z = a & m;
    }

    // AND, then ROR with flags of its own; in decimal mode the nibbles are corrected as after an addition.
    MEMBER void and_rotate(i32 m) {
        i32 both = a & m, result = (both >> 1) | (c << 7);
        if (!d) {
            set_nz(a = result);
            c = (result >> 6) & 1;
            v = ((result >> 6) ^ (result >> 5)) & 1;
            return;
        }
        n = c << 7;
        z = result;
        v = ((both ^ result) >> 6) & 1;
        if ((both & 15) + (both & 1) > 5) result = (result & 0xF0) | ((result + 6) & 0x0F);
        c = (both & 0xF0) + (both & 0x10) > 0x50;
        if (c) result = (result + 0x60) & 0xFF;
        a = result;
    }

    MEMBER void jump_subroutine(i32 low, i32 third_byte) {
        peek();
        push(third_byte >> 8 & 0xFF);
        push(third_byte & 0xFF, false);
        pc = low | (fetch(third_byte) << 8);
    }

    MEMBER void return_subroutine() {
        peek();
        i32 low = pull();
        i32 address = low | (pull() << 8);
        fetch(address);
        pc = (address + 1) & 0xFFFF;
    }

    MEMBER void software_interrupt(i32 address) {
        fetch(address + 1);
        i32 back = (address + 2) & 0xFFFF;
        push(back >> 8);
        push(back & 0xFF, false);
        push(flags(), false);
        i = 1;
        pc = fetch_word(0xFFFE);
    }

    MEMBER void return_interrupt() {
        peek();
        set_flags(pull());
        i32 low = pull();
        pc = low | (pull() << 8);
    }

    MEMBER void branch(bool taken, i32 next, i32 offset) {
        pc = next;
        if (taken) {
            i32 target = (next + (offset ^ 0x80) - 0x80) & 0xFFFF;
            cyc += ((next ^ target) & 0xFF00) ? 2 : 1;
            pc = target;
        }
    }
};

// From block to block: on the CPU directly, on the GPU by way of the next turn.
#ifdef __CUDACC__
#define GO(block, address) \
    {                      \
        p.pc = address;    \
        goto next_block;   \
    }
#else
#define GO(block, address) goto block
#endif

// Runs until the frame is complete or the instructions of one call are used up. True if it is complete.
OUTLINE bool run_instructions(Console& s, Frame& f) {
    const u32 lanes = f.lanes ? f.lanes : arrived_together();
    Cpu p(s, f);
    i32 budget = s.jammed ? 0 : INSTRUCTIONS_PER_FRAME;
    i32 arrived = 1;  // at an address that the instruction before did not name
    for (;;) {
        const bool runs = budget > 0 && !p.done;
        const i32 place = (code_bank(s, p.pc) << 16) | p.pc;
        const Turn turn = next_turn(lanes, runs, p.cyc, place, TURNS_OF_PROCESSOR);
        if (turn.over) break;
        if (!runs || place != turn.place) continue;
#ifdef BLOCKS
#include "blocks.inc"
    interpret:
        if (budget == 0) continue;
#elif !defined(__CUDACC__)
        if (unlikely(f.coverage != nullptr)) f.coverage[place] |= arrived ? 3 : 1;
        arrived = 0;
#endif
        budget--;
#include "interpreter.inc"
#ifdef BLOCKS
    next_block:;
#endif
    }
    (void)arrived;
    p.save();
    return p.done;
}
