// From palette values to the observation, on the CPU: grey, maximum of two pictures, resize by area.
#pragma once
#include "observe.h"
#if defined(__AVX2__) && !defined(PORTABLE)
#include <immintrin.h>
#endif

// Loops over pixels: worth vectorising, unlike the processor, whose size would only grow.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O3")
#endif

struct Scratch {
    float row[MAX_ROWS][MAX_CELLS];  // each row of the picture resized along x
    i32 same_as[MAX_ROWS];           // the first of the rows above that are equal to this one
    u8 plane[PICTURE_BYTES], held[PICTURE_BYTES];
    u8 cells[MAX_CELLS * MAX_CELLS];  // one channel of a frame
};

#if defined(__AVX512VBMI__) && !defined(PORTABLE)
// 64 greys at once: of values whose lowest bit is clear or set, the two tables interleaved in 256 bytes.
struct GreyTable {
    __m512i t0, t1, t2, t3;
};
INLINE GreyTable grey_table(const u8* grey) {
    return {_mm512_loadu_si512(grey), _mm512_loadu_si512(grey + 64), _mm512_loadu_si512(grey + 128),
            _mm512_loadu_si512(grey + 192)};
}
INLINE __m512i grey_of(const GreyTable& t, __m512i values) {
    __m512i low = _mm512_permutex2var_epi8(t.t0, values, t.t1), high = _mm512_permutex2var_epi8(t.t2, values, t.t3);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(values), low, high);
}
INLINE void grey_row(const GreyTable& t, const u8* from, u8* to) {
    _mm512_storeu_si512(to, grey_of(t, _mm512_loadu_si512(from)));
    _mm512_storeu_si512(to + 64, grey_of(t, _mm512_loadu_si512(from + 64)));
    _mm512_mask_storeu_epi8(to + 128, 0xFFFFFFFFull, grey_of(t, _mm512_maskz_loadu_epi8(0xFFFFFFFFull, from + 128)));
}
#else
struct GreyTable {
    const u8* grey;
};
INLINE GreyTable grey_table(const u8* grey) { return {grey}; }
INLINE void grey_row(const GreyTable& t, const u8* from, u8* to) {
    for (i32 x = 0; x < PIXELS; x++) to[x] = t.grey[from[x]];
}
#endif

OUTLINE void grey_picture(const GreyTable& t, const u8* picture, i32 rows, u8* grey) {
    for (i32 y = 0; y < rows; y++) {
        const u8* from = picture + y * PIXELS;
        u8* to = grey + y * PIXELS;
        if (y > 0 && memcmp(from, from - PIXELS, PIXELS) == 0)
            memcpy(to, to - PIXELS, PIXELS);
        else
            grey_row(t, from, to);
    }
}

OUTLINE void raise_to(u8* target, const u8* other, i32 bytes) {
    for (i32 k = 0; k < bytes; k++) target[k] = target[k] > other[k] ? target[k] : other[k];
}

template <int TAPS>
INLINE void resize_row_by_cells(const Axis& axis, const u8* row, float* out) {
    for (i32 k = 0; k < axis.cells; k++) {
        const u8* p = row + axis.first[k];
        float sum = (float)p[0] * axis.weight[0][k];
        for (i32 n = 1; n < TAPS; n++) sum = sum + (float)p[n] * axis.weight[n][k];
        out[k] = sum;
    }
}

// Several cells at once, where the pixels of one tap lie in sixteen bytes: `picks` takes them from there. The order of
// products and sums is that of the cells one by one.
#if defined(__AVX2__) && !defined(PORTABLE)
struct Picks {
    i32 cells_at_once;  // 8 or 4; 0: cell by cell
    i32 from[MAX_TAPS][MAX_CELLS / 4];
    alignas(16) u8 bytes[MAX_TAPS][MAX_CELLS / 4][16];
};

static bool make_picks(Picks& picks, const Axis& axis, i32 at_once) {
    for (i32 n = 0; n < axis.taps; n++)
        for (i32 first = 0; first < axis.cells; first += at_once) {
            const i32 group = first / at_once, from = axis.first[first] + n;
            // No byte behind the row is read.
            picks.from[n][group] = from > PIXELS - 16 ? PIXELS - 16 : from;
            for (i32 k = 0; k < 16; k++) {
                const i32 cell = first + k < axis.cells ? first + k : axis.cells - 1;
                const i32 byte = axis.first[cell] + n - picks.from[n][group];
                if (k < at_once && byte > 15) return false;
                picks.bytes[n][group][k] = (u8)(k < at_once ? byte : 0x80);
            }
        }
    picks.cells_at_once = at_once;
    return true;
}

static void make_picks(Picks& picks, const Axis& axis) {
    if (!make_picks(picks, axis, 8) && !make_picks(picks, axis, 4)) picks.cells_at_once = 0;
}

INLINE __m128i picked(const Picks& picks, const u8* row, i32 tap, i32 group) {
    const __m128i pixels = _mm_loadu_si128((const __m128i*)(row + picks.from[tap][group]));
    return _mm_shuffle_epi8(pixels, _mm_load_si128((const __m128i*)picks.bytes[tap][group]));
}

template <int TAPS>
INLINE void resize_row(const Axis& axis, const Picks& picks, const u8* row, float* out) {
    if (picks.cells_at_once == 8) {
        for (i32 k = 0; k < axis.cells; k += 8) {
            __m256 sum = _mm256_setzero_ps();
            for (i32 n = 0; n < TAPS; n++) {
                const __m256 pixels = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(picked(picks, row, n, k / 8)));
                const __m256 product = _mm256_mul_ps(pixels, _mm256_loadu_ps(axis.weight[n] + k));
                sum = n == 0 ? product : _mm256_add_ps(sum, product);
            }
            _mm256_storeu_ps(out + k, sum);
        }
    } else if (picks.cells_at_once == 4) {
        for (i32 k = 0; k < axis.cells; k += 4) {
            __m128 sum = _mm_setzero_ps();
            for (i32 n = 0; n < TAPS; n++) {
                const __m128 pixels = _mm_cvtepi32_ps(_mm_cvtepu8_epi32(picked(picks, row, n, k / 4)));
                const __m128 product = _mm_mul_ps(pixels, _mm_loadu_ps(axis.weight[n] + k));
                sum = n == 0 ? product : _mm_add_ps(sum, product);
            }
            _mm_storeu_ps(out + k, sum);
        }
    } else {
        resize_row_by_cells<TAPS>(axis, row, out);
    }
}
#else
struct Picks {};
static void make_picks(Picks&, const Axis&) {}
template <int TAPS>
INLINE void resize_row(const Axis& axis, const Picks&, const u8* row, float* out) {
    resize_row_by_cells<TAPS>(axis, row, out);
}
#endif

// One row of cells: the weighted sum of rows that were resized along x. Sixteen columns at a time stay in registers.
INLINE void add_rows(const Axis& lines, i32 cell, const Scratch& scratch, i32 cells, u8* out) {
    const i32 taps = lines.taps;
    const float* rows[MAX_TAPS];
    float weights[MAX_TAPS];
    for (i32 n = 0; n < taps; n++) {
        rows[n] = scratch.row[scratch.same_as[lines.first[cell] + n]];
        weights[n] = lines.weight[n][cell];
    }
    for (i32 x = 0; x < cells; x += 16) {
        float sum[16];
        u8 rounded[16];
        for (i32 k = 0; k < 16; k++) sum[k] = rows[0][x + k] * weights[0];
        for (i32 n = 1; n < taps; n++)
            for (i32 k = 0; k < 16; k++) sum[k] = sum[k] + rows[n][x + k] * weights[n];
        for (i32 k = 0; k < 16; k++) rounded[k] = rounded_cell(sum[k]);
        memcpy(out + x, rounded, cells - x < 16 ? cells - x : 16);
    }
}

// Rows first_row <= y < first_row + rows of the picture resized to columns.cells x rows.cells.
OUTLINE void resize(const Axis& columns, const Picks& picks, const Axis& lines, const u8* grey, Scratch& scratch,
                    i32 first_row, i32 rows, u8* out) {
    if (has_whole_cells(columns, lines)) {
        for (i32 k = 0; k < rows; k++)
            for (i32 x = 0; x < columns.cells; x++)
                out[k * columns.cells + x] = whole_cell(columns, lines, grey, x, first_row + k);
        return;
    }
    i32 from = lines.first[first_row], to = lines.first[first_row + rows - 1] + lines.taps;
    for (i32 y = from; y < to; y++) {
        const u8* row = grey + y * PIXELS;
        if (y > from && memcmp(row, row - PIXELS, PIXELS) == 0) {
            scratch.same_as[y] = scratch.same_as[y - 1];
            continue;
        }
        scratch.same_as[y] = y;
        float* sums = scratch.row[y];
        if (columns.taps == 3)
            resize_row<3>(columns, picks, row, sums);
        else if (columns.taps == 5)
            resize_row<5>(columns, picks, row, sums);
        else
            resize_row<MAX_TAPS>(columns, picks, row, sums);
    }
    for (i32 k = 0; k < rows; k++) add_rows(lines, first_row + k, scratch, columns.cells, out + k * columns.cells);
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
