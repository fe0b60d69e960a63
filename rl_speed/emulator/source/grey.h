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
        if (y > 0 && equal_rows(from, from - PIXELS))
            copy_row(to, to - PIXELS);
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

// The sums of sixteen columns of one row of cells, rounded; `count` of them are kept.
#if defined(__AVX512BW__) && !defined(PORTABLE)
INLINE void add_columns(const float* const* rows, const float* weights, i32 taps, i32 x, i32 count, u8* out) {
    __m512 sum = _mm512_mul_ps(_mm512_loadu_ps(rows[0] + x), _mm512_set1_ps(weights[0]));
    for (i32 n = 1; n < taps; n++)
        sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_loadu_ps(rows[n] + x), _mm512_set1_ps(weights[n])));
    const __mmask16 kept = (__mmask16)(count < 16 ? (1 << count) - 1 : 0xFFFF);
    _mm512_mask_cvtusepi32_storeu_epi8(out + x, kept, _mm512_cvtps_epi32(sum));  // half to even, 255 at most
}
#elif defined(__AVX2__) && !defined(PORTABLE)
INLINE __m256i eight_sums(const float* const* rows, const float* weights, i32 taps, i32 x) {
    __m256 sum = _mm256_mul_ps(_mm256_loadu_ps(rows[0] + x), _mm256_set1_ps(weights[0]));
    for (i32 n = 1; n < taps; n++)
        sum = _mm256_add_ps(sum, _mm256_mul_ps(_mm256_loadu_ps(rows[n] + x), _mm256_set1_ps(weights[n])));
    return _mm256_cvtps_epi32(sum);  // half to even
}

INLINE void add_columns(const float* const* rows, const float* weights, i32 taps, i32 x, i32 count, u8* out) {
    const __m256i low = eight_sums(rows, weights, taps, x), high = eight_sums(rows, weights, taps, x + 8);
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xD8);
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    if (count >= 16)
        _mm_storeu_si128((__m128i*)(out + x), bytes);
    else
        memcpy(out + x, &bytes, (size_t)count);
}
#else
INLINE void add_columns(const float* const* rows, const float* weights, i32 taps, i32 x, i32 count, u8* out) {
    float sum[16];
    u8 rounded[16];
    for (i32 k = 0; k < 16; k++) sum[k] = rows[0][x + k] * weights[0];
    for (i32 n = 1; n < taps; n++)
        for (i32 k = 0; k < 16; k++) sum[k] = sum[k] + rows[n][x + k] * weights[n];
    for (i32 k = 0; k < 16; k++) rounded[k] = rounded_cell(sum[k]);
    if (count >= 16)
        memcpy(out + x, rounded, 16);
    else
        memcpy(out + x, rounded, (size_t)count);
}
#endif

// One row of cells: the weighted sum of rows that were resized along x.
INLINE void add_rows(const Axis& lines, i32 cell, const Scratch& scratch, i32 cells, u8* out) {
    const float* rows[MAX_TAPS];
    float weights[MAX_TAPS];
    for (i32 n = 0; n < lines.taps; n++) {
        rows[n] = scratch.row[scratch.same_as[lines.first[cell] + n]];
        weights[n] = lines.weight[n][cell];
    }
    for (i32 x = 0; x < cells; x += 16) add_columns(rows, weights, lines.taps, x, cells - x, out);
}

// How many cells back, `most` at most, a row of cells is the sum of the same rows; 0: none is. The weights of 210 rows
// on 84 come again with every second cell.
INLINE i32 same_rows(const Axis& lines, i32 cell, i32 most, const Scratch& scratch) {
    const i32* rows = scratch.same_as + lines.first[cell];
    for (i32 back = 1; back <= most; back++) {
        const i32* others = scratch.same_as + lines.first[cell - back];
        bool same = true;
        for (i32 n = 0; n < lines.taps && same; n++)
            same = rows[n] == others[n] && lines.weight[n][cell] == lines.weight[n][cell - back];
        if (same) return back;
    }
    return 0;
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
        if (y > from && equal_rows(row, row - PIXELS)) {
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
    for (i32 k = 0; k < rows; k++) {
        const i32 cell = first_row + k, like = k == 0 ? 0 : same_rows(lines, cell, k > 1 ? 2 : 1, scratch);
        u8* to = out + k * columns.cells;
        if (like > 0)
            memcpy(to, to - like * columns.cells, (size_t)columns.cells);
        else
            add_rows(lines, cell, scratch, columns.cells, to);
    }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
