// What the CPU and the CUDA compiler call differently. Everything else in this folder is in the subset of C++17 that
// both accept.
#pragma once

typedef unsigned char u8;
typedef int i32;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef __CUDACC__
#define INLINE __device__ __forceinline__
#define OUTLINE __device__ __noinline__
#define CONSTANT __device__ const
INLINE i32 lowest_bit(u64 w) { return __ffsll((long long)w) - 1; }
INLINE bool unlikely(bool condition) { return condition; }
#define KNOWN(x) false
#else
#include <cstdint>
#include <cstring>
#define INLINE static inline __attribute__((always_inline))
#define OUTLINE static __attribute__((noinline))
#define CONSTANT static const
INLINE i32 lowest_bit(u64 w) { return __builtin_ctzll(w); }
INLINE bool unlikely(bool condition) { return __builtin_expect(condition, 0); }
// True where the compiler knows the value: then the decoding of an address folds away, and is best written out.
#define KNOWN(x) __builtin_constant_p(x)
#endif
