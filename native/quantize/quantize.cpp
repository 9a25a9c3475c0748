// Quantizes rows in parallel over the pool: widen, check and encode a chunk at a time, without a float32 copy of the whole
// tensor.
#include "encode.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "pool.h"

namespace bitwright {

const Encoder* EncoderSet::find(FormatId format) const {
  const Encoder* end = encoders + count;
  const Encoder* found = std::find_if(encoders, end, [format](const Encoder& e) { return e.format == format; });
  return found == end ? nullptr : found;
}

const Feedback* EncoderSet::find_feedback(FormatId format) const {
  const Feedback* end = feedback + feedback_count;
  const Feedback* found = std::find_if(feedback, end, [format](const Feedback& f) { return f.format == format; });
  return found == end ? nullptr : found;
}

namespace {

constexpr int64_t kChunkValues = 1 << 14;  // the float32 copy of a chunk takes 64 KiB

// The values [begin, begin + n) as float32: in place, or widened into `copy`.
const float* as_float32(const EncoderSet& set, FormatId source, const void* values, int64_t begin, int64_t n,
                        std::vector<float>& copy) {
  if (source == FormatId::f32) return static_cast<const float*>(values) + begin;
  const uint16_t* bits = static_cast<const uint16_t*>(values) + begin;
  copy.resize(n);
  if (source == FormatId::f16) {
    set.widen_f16(bits, n, copy.data());
  } else {
    uint32_t* wide = reinterpret_cast<uint32_t*>(copy.data());
    for (int64_t i = 0; i < n; i++) wide[i] = static_cast<uint32_t>(bits[i]) << 16;
  }
  return copy.data();
}

// Importance as a multiple of its mean, with a floor: columns that the calibration text did not activate still have a
// small weight, which decides where nothing else does.
std::vector<float> relative_importance(const float* importance, int64_t columns) {
  constexpr double kFloor = 1.0 / 8192;
  double sum = 0;
  for (int64_t i = 0; i < columns; i++) sum += importance[i];
  std::vector<float> relative(columns, 1.f);
  for (int64_t i = 0; i < columns && sum > 0; i++)
    relative[i] = static_cast<float>(importance[i] * columns / sum + kFloor);
  return relative;
}

}  // namespace

EncodeFault quantize_rows(const EncoderSet& set, const Encoder& encoder, FormatId source, const void* values,
                          int64_t rows, int64_t columns, const float* importance, bool search, uint8_t* out,
                          Pool& pool) {
  const bool searches = encoder.searches(search);
  const Encode encode = searches ? encoder.search : encoder.rtn;
  std::vector<float> relative;
  if (importance && searches) {
    relative = relative_importance(importance, columns);
    importance = relative.data();
  }
  EncodeFault fault;
  std::mutex guard;
  const auto report = [&](EncodeFault::Kind kind, int64_t value) {
    const std::lock_guard<std::mutex> lock(guard);
    if (fault.kind == EncodeFault::none || value < fault.value) fault = {kind, value};
  };
  // Importance is per column, so with it a piece is one row. Without it a piece is a run of blocks that may cross rows.
  const int64_t block = encoder.block_size;
  const int64_t piece = importance ? columns : std::max<int64_t>(1, kChunkValues / block) * block,
                total = rows * columns;
  pool.parallel_for((total + piece - 1) / piece, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> copy;
    for (int64_t first = begin * piece; first < std::min(end * piece, total); first += piece) {
      const int64_t n = std::min(piece, total - first);
      const float* x = as_float32(set, source, values, first, n, copy);
      if (const int64_t bad = set.first_not_finite(x, n); bad >= 0) {
        report(EncodeFault::not_finite, first + bad);
      } else if (const int64_t over = encode(x, importance, n / block, out + first / block * encoder.block_bytes);
                 over >= 0) {
        report(EncodeFault::overflow, first + over * block);
      }
    }
  });
  return fault;
}

}  // namespace bitwright
