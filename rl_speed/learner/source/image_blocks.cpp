// Images as the first convolution reads them, see image_blocks.py, in one pass where torch takes four.

#include <cstdint>
#include <cstring>
#include <vector>

namespace {

struct Bfloat16 {
  uint16_t bits;  // the upper half of a float
};

inline void store(float* place, float value) { *place = value; }

inline void store(Bfloat16* place, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  place->bits = uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);  // the nearest, ties to even; nothing is a NaN
}

inline float load(const float* place) { return *place; }

inline float load(const Bfloat16* place) {
  const uint32_t bits = uint32_t(place->bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

struct Blocks {
  int frames, height, width;  // of the images
  int rows, columns;          // of blocks
};

// The mean image [height, width] as blocks [rows, columns, S*S], in the precision of the result.
template <int kStride, class T>
std::vector<float> mean_blocks(const float* mean, const Blocks& shape) {
  std::vector<float> blocks;
  blocks.reserve(size_t(shape.rows) * shape.columns * kStride * kStride);
  for (int row = 0; row < shape.rows; ++row)
    for (int column = 0; column < shape.columns; ++column)
      for (int y = 0; y < kStride; ++y)
        for (int x = 0; x < kStride; ++x) {
          T rounded;
          store(&rounded, mean[(row * kStride + y) * shape.width + column * kStride + x]);
          blocks.push_back(load(&rounded));
        }
  return blocks;
}

// uint8 [images, frames, height, width] minus mean [height, width] -> [images, rows, columns, frames, S*S].
template <int kStride, class T>
void image_blocks(const uint8_t* images, const float* mean, T* result, int64_t count, const Blocks& shape) {
  constexpr int kPixels = kStride * kStride;
  const std::vector<float> cut = mean_blocks<kStride, T>(mean, shape);
  for (int64_t line = 0; line < count * shape.rows * shape.frames; ++line) {
    const int frame = line % shape.frames, row = line / shape.frames % shape.rows;
    const int64_t image = line / shape.frames / shape.rows;
    const uint8_t* from = images + ((image * shape.frames + frame) * shape.height + row * kStride) * shape.width;
    const float* middle = cut.data() + int64_t(row) * shape.columns * kPixels;
    T* to = result + ((image * shape.rows + row) * shape.columns * shape.frames + frame) * kPixels;
    for (int column = 0; column < shape.columns; ++column) {
      uint8_t block[kPixels];
      for (int y = 0; y < kStride; ++y) std::memcpy(block + y * kStride, from + y * shape.width, kStride);
      for (int pixel = 0; pixel < kPixels; ++pixel) store(to + pixel, float(block[pixel]) - middle[pixel]);
      from += kStride;
      middle += kPixels;
      to += shape.frames * kPixels;
    }
  }
}

template <class T>
void blocks_of(const uint8_t* images, const float* mean, T* result, int64_t count, int stride, const Blocks& shape) {
  switch (stride) {  // image_blocks.py: STRIDES
    case 2: return image_blocks<2>(images, mean, result, count, shape);
    case 4: return image_blocks<4>(images, mean, result, count, shape);
    case 8: return image_blocks<8>(images, mean, result, count, shape);
  }
}

}  // namespace

extern "C" void image_blocks_float32(const uint8_t* images, const float* mean, float* result, int64_t count, int stride,
                                     const Blocks* shape) {
  blocks_of(images, mean, result, count, stride, *shape);
}

extern "C" void image_blocks_bfloat16(const uint8_t* images, const float* mean, Bfloat16* result, int64_t count,
                                      int stride, const Blocks* shape) {
  blocks_of(images, mean, result, count, stride, *shape);
}
