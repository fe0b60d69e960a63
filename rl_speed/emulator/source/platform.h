// What the CPU and the CUDA compiler call differently. Everything else in this folder is in the subset of C++17 that
// both accept.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef __CUDACC__
#define INLINE __device__ __forceinline__
#define OUTLINE __device__ __noinline__
#define CONSTANT __device__ const
INLINE bool unlikely(bool condition) { return condition; }
#else
#include <cstdint>
#include <cstring>
#define INLINE static inline __attribute__((always_inline))
#define OUTLINE static __attribute__((noinline))
#define CONSTANT static const
INLINE bool unlikely(bool condition) { return __builtin_expect(condition, 0); }
#endif
