// What one CPU tier provides. The executor (program.cpp) and the binding know a tier only through these tables; the tables are
// filled by kernels/*.inl, compiled once per tier in tiers/*.cpp with that tier's flags, in a namespace of the tier's own.
#pragma once
#include <cstddef>
#include <cstdint>

#include "blocks.h"

namespace bitwright {

// A weight matrix (rows, columns): `file` are the bytes as stored, row after row; `packed` is the tier's own layout of the same
// weights, nullptr where the tier reads the file's blocks as they are.
struct Weight {
  FormatId format;
  int64_t rows, columns;
  const uint8_t* file;
  const uint8_t* packed;
};

// How an input is rounded to int8: in our own way, or in that of llama.cpp for weights whose inputs it makes Q8_0, Q8_1 or Q8_K.
enum class Rounding : uint8_t { own, q8_0, q8_1, q8_k };

// y[t, r] = sum_c W[r, c] x[t, c]. Rows are divided among threads in panels. Inputs are converted once (`load_input`) and then
// read by every weight that shares them: int8 codes with one scale per 32 columns for integer-dot formats, float32 beside them
// for the rest. The layout of a loaded input is the tier's own.
struct MatmulKernels {
  size_t (*packed_bytes)(const Weight&);  // 0: no packed form, `file` is used
  void (*pack)(const Weight&, uint8_t* packed, int64_t panel_begin, int64_t panel_end);
  int64_t (*panels)(const Weight&);
  size_t (*input_bytes)(int64_t tokens, int64_t columns);
  void (*load_input)(const float* x, int64_t stride, int64_t tokens, int64_t columns, Rounding rounding, uint8_t* input,
                     int64_t token_begin, int64_t token_end);
  size_t (*scratch_bytes)(const Weight&);  // per thread
  // few tokens (decode, bandwidth-bound) and many (prefill, compute-bound); y is (tokens, stride)
  void (*decode)(const Weight&, const uint8_t* input, int64_t tokens, float* y, int64_t stride, int64_t panel_begin,
                 int64_t panel_end, uint8_t* scratch);
  void (*prefill)(const Weight&, const uint8_t* input, int64_t tokens, float* y, int64_t stride, int64_t panel_begin,
                  int64_t panel_end, uint8_t* scratch);
};

struct AttentionArgs;  // attention.h

// Everything that is not a matrix product (kernels/vector.inl): each call handles one row (token), attention a range of items.
struct VectorKernels {
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t n, float* y);
  void (*rope)(float* x, const float* cos_sin, int64_t heads, int64_t head_dim, int64_t rotary_dim, bool interleaved);
  void (*glu_silu)(const float* gate, const float* up, int64_t n, float* y);
  void (*glu_gelu)(const float* gate, const float* up, int64_t n, float* y);
  void (*add)(const float* a, const float* b, int64_t n, float* y);
  void (*scale)(float* x, float factor, int64_t n);
  void (*softcap)(float* x, float cap, int64_t n);
  void (*attention)(const AttentionArgs&, int64_t begin, int64_t end, float* scratch);
};

// How a product with a format is computed: int8 inputs times the stored codes; bfloat16 inputs times bfloat16 weights; weights
// made float32 in registers; or weights made float32 a few rows at a time in scratch.
enum class Path { integer_dot, bf16_dot, floats, converted };

// What the machine does at best (kernels/limits.inl): loops to be timed. `read` takes a multiple of 4096 bytes, without and with
// software prefetch, and returns what the compiler must not leave out; the others return the operations they did.
struct LimitKernels {
  uint64_t (*read[2])(const uint8_t* data, size_t bytes);
  int64_t (*integer_dots)(int64_t rounds);
  int64_t (*float_dots)(int64_t rounds);
};

struct Tier {
  const char* name;
  MatmulKernels matmul;
  VectorKernels vector;
  Path (*path)(FormatId format, bool prefill);
  LimitKernels limits;
};

const Tier* const* tiers(int* count);      // the ones this machine can run, slowest first (dispatch.cpp)
const Tier& tier();                        // the fastest, or the one BITWRIGHT_TIER names; throws std::invalid_argument
const Tier& tier_named(const char* name);  // nullptr: the fastest; throws std::invalid_argument when it cannot run here

}  // namespace bitwright
