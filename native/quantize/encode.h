// Encoders: float32 values to the blocks of one format. An encoder sees whole blocks, one after another; rows, threads
// and the source's type are the driver's (quantize.cpp). The bytes do not depend on the thread count or the instruction
// set: sums run in one fixed order and nothing is fused or reassociated.
#pragma once
#include <cstddef>
#include <cstdint>

#include "blocks.h"

namespace bitwright {

class Pool;

// Encodes `blocks` blocks of x. `importance` is nullptr or one weight per value of x. Returns the first block whose
// scale (for float formats: whose value) leaves the range of its stored type, or -1.
using Encode = int64_t (*)(const float* x, const float* importance, int64_t blocks, uint8_t* out);

struct Encoder {
  FormatId format;
  int block_size;  // values in a block
  int block_bytes;
  Encode rtn;           // method rtn, llama.cpp's choice; nullptr: it has method search alone
  bool rtn_importance;  // whether method rtn takes an importance
  Encode search;        // method search, the codes of least (weighted) squared error; nullptr: it has method rtn alone

  bool searches(bool asked) const { return search && (asked || !rtn); }
  bool weighs(bool asked) const { return searches(asked) || rtn_importance; }
};

struct Layer {  // what a weight (rows, n) is multiplied by
  int64_t n;    // columns
  const float *hessian,
      *factor;  // (n, n): its second moments H, and of H = F' D F the F below the diagonal with D on it
  int rounds;   // of coordinate descent
};

struct Feedback {
  FormatId format;
  int unit;  // columns whose scales belong together: what n must be a multiple of
  // Encodes w (rows, n) with error feedback; objective[0] is what that leaves of tr(E H E'), objective[i] what the i-th
  // round does.
  void (*encode)(const Layer& layer, const float* w, int64_t rows, uint8_t* out, double* objective, Pool& pool);
};

// What stopped a quantization: nothing, or the first offending place, the same whatever the thread count.
struct EncodeFault {
  enum Kind { none, not_finite, overflow } kind = none;
  int64_t value = 0;  // index into the values, row-major; for an overflow, of the block's first value
};

struct EncoderSet {
  const Encoder* encoders;
  size_t count;
  const Feedback* feedback;
  size_t feedback_count;
  bool (*factor)(float* a, int64_t n, Pool& pool);  // the lower triangle of H to F and D; false: not positive definite
  void (*widen_f16)(const uint16_t* in, int64_t n, float* out);
  int64_t (*first_not_finite)(const float* x, int64_t n);  // index of the first infinity or NaN, or -1
  const Encoder* find(FormatId format) const;              // nullptr: no encoder
  const Feedback* find_feedback(FormatId format) const;
};

// values (rows, columns) of type f32, f16 or bf16 to out (rows, columns / block_size * block_bytes); importance
// (columns,) or nullptr, finite and not negative. search: the method, where the encoder has both.
EncodeFault quantize_rows(const EncoderSet& set, const Encoder& encoder, FormatId source, const void* values,
                          int64_t rows, int64_t columns, const float* importance, bool search, uint8_t* out,
                          Pool& pool);

}  // namespace bitwright
