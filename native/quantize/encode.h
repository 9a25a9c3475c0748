// Encoders turn float32 values into the blocks of one format. An encoder sees consecutive whole blocks; the driver
// (quantize.cpp) handles rows, threads and the source's type. The bytes do not depend on the thread count or the
// instruction set: sums run in one fixed order and nothing is fused or reassociated.
#pragma once
#include <cstddef>
#include <cstdint>

#include "blocks.h"

namespace bitwright {

class Pool;

// Encodes `blocks` blocks of x. `importance` is nullptr or one weight per value of x. Returns the first block whose
// scale (for float formats: whose value) is out of range for its stored type, or -1.
using Encode = int64_t (*)(const float* x, const float* importance, int64_t blocks, uint8_t* out);

struct Encoder {
  FormatId format;
  int block_size;  // values in a block
  int block_bytes;
  Encode rtn;           // method rtn, llama.cpp's choice; nullptr: the format has only method search
  bool rtn_importance;  // whether method rtn takes importance
  Encode search;        // method search, the codes with the least (weighted) squared error; nullptr: only method rtn

  bool searches(bool asked) const { return search && (asked || !rtn); }
  bool weighs(bool asked) const { return searches(asked) || rtn_importance; }
};

struct Layer {  // what a weight (rows, n) is multiplied by
  int64_t n;    // columns
  const float *hessian,
      *factor;  // (n, n): the second moments H of its input; F below the diagonal and D on it, where H = F' D F
  int rounds;   // rounds of coordinate descent
};

struct Feedback {
  FormatId format;
  int unit;  // columns whose scales are chosen together; n must be a multiple of it
  // Encodes w (rows, n) with error feedback. objective[0] is tr(E H E') after feedback, objective[i] after the i-th
  // round.
  void (*encode)(const Layer& layer, const float* w, int64_t rows, uint8_t* out, double* objective, Pool& pool);
};

// What stopped a quantization: nothing, or the first bad value, which does not depend on the thread count.
struct EncodeFault {
  enum Kind { none, not_finite, overflow } kind = none;
  int64_t value = 0;  // row-major index of the value; for an overflow, of the block's first value
};

struct EncoderSet {
  const Encoder* encoders;
  size_t count;
  const Feedback* feedback;
  size_t feedback_count;
  bool (*factor)(float* a, int64_t n, Pool& pool);  // see dense.inl; false: not positive definite
  void (*widen_f16)(const uint16_t* in, int64_t n, float* out);
  int64_t (*first_not_finite)(const float* x, int64_t n);  // index of the first infinity or NaN, or -1
  const Encoder* find(FormatId format) const;              // nullptr: no encoder
  const Feedback* find_feedback(FormatId format) const;
};

// Encodes values (rows, columns) of type f32, f16 or bf16 to out (rows, columns / block_size * block_bytes). importance
// is (columns,), finite and not negative, or nullptr. search: use method search where the encoder has both.
EncodeFault quantize_rows(const EncoderSet& set, const Encoder& encoder, FormatId source, const void* values,
                          int64_t rows, int64_t columns, const float* importance, bool search, uint8_t* out,
                          Pool& pool);

}  // namespace bitwright
