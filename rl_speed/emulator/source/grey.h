// From palette values to the observation, on the CPU: grey, maximum of two pictures, resize by area.
#pragma once
#include "observe.h"

// Loops over pixels: worth vectorising, unlike the processor, whose size would only grow.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O3")
#endif

struct Scratch {
    float row[MAX_ROWS][MAX_CELLS];  // each row of the picture resized along x
    i32 same_as[MAX_ROWS];           // the first of the rows above that are equal to this one
    u8 grey[PICTURE_BYTES], held[PICTURE_BYTES];
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
INLINE void resize_row(const Axis& axis, const u8* row, float* out) {
    for (i32 k = 0; k < axis.cells; k++) {
        const u8* p = row + axis.first[k];
        float sum = (float)p[0] * axis.weight[0][k];
        for (i32 n = 1; n < TAPS; n++) sum = sum + (float)p[n] * axis.weight[n][k];
        out[k] = sum;
    }
}

// Rows first_row <= y < first_row + rows of the picture resized to columns.cells x rows.cells.
OUTLINE void resize(const Axis& columns, const Axis& lines, const u8* grey, Scratch& scratch, i32 first_row, i32 rows,
                    u8* out) {
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
            resize_row<3>(columns, row, sums);
        else if (columns.taps == 5)
            resize_row<5>(columns, row, sums);
        else
            resize_row<MAX_TAPS>(columns, row, sums);
    }
    for (i32 k = 0; k < rows; k++) {
        i32 cell = first_row + k;
        float sum[MAX_CELLS];
        for (i32 n = 0; n < lines.taps; n++) {
            const float* row = scratch.row[scratch.same_as[lines.first[cell] + n]];
            const float weight = lines.weight[n][cell];
            if (n == 0)
                for (i32 x = 0; x < columns.cells; x++) sum[x] = row[x] * weight;
            else
                for (i32 x = 0; x < columns.cells; x++) sum[x] = sum[x] + row[x] * weight;
        }
        u8* line = out + k * columns.cells;
        for (i32 x = 0; x < columns.cells; x++) {
            line[x] = rounded_cell(sum[x]);
        }
    }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
