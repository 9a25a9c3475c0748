// What one CPU tier provides. The rest of the core and the binding use a tier only through these tables. kernels/*.inl
// fills them, compiled once per tier by tiers/*.cpp, with the tier's flags and in its namespace.
#pragma once
#include <cstddef>
#include <cstdint>

#include "blocks.h"

namespace bitwright {

// A weight matrix (rows, columns): `file` are the bytes as stored, row after row; `packed` holds the same weights in the
// tier's layout, or is nullptr where the tier reads the file's blocks.
struct Weight {
  FormatId format;
  int64_t rows, columns;
  const uint8_t* file;
  const uint8_t* packed;
};

// How an input is rounded to int8: bitwright's way, or llama.cpp's for weights whose inputs it converts to Q8_0, Q8_1 or
// Q8_K.
enum class Rounding : uint8_t { own, q8_0, q8_1, q8_k };

// y[t, r] = sum_c W[r, c] x[t, c]. Rows are divided among threads in panels. Inputs are converted once (`load_input`)
// and then read by every weight that shares them: int8 codes with one scale per 32 columns for integer-dot formats, and,
// if asked for, `floats` for the rest. The layout of a loaded input depends on the tier.
struct MatmulKernels {
  size_t (*packed_bytes)(const Weight&);  // 0: there is no packed form, `file` is read
  void (*pack)(const Weight&, uint8_t* packed, int64_t panel_begin, int64_t panel_end);
  int64_t (*panels)(const Weight&);
  size_t (*input_bytes)(int64_t tokens, int64_t columns, bool floats);
  void (*load_input)(const float* x, int64_t stride, int64_t tokens, int64_t columns, Rounding rounding, bool floats,
                     uint8_t* input, int64_t token_begin, int64_t token_end);
  size_t (*scratch_bytes)(const Weight&);  // per thread
  // for few tokens (decode, bandwidth-bound) and many (prefill, compute-bound); y is (tokens, stride)
  void (*decode)(const Weight&, const uint8_t* input, int64_t tokens, float* y, int64_t stride, int64_t panel_begin,
                 int64_t panel_end, uint8_t* scratch);
  void (*prefill)(const Weight&, const uint8_t* input, int64_t tokens, float* y, int64_t stride, int64_t panel_begin,
                  int64_t panel_end, uint8_t* scratch);
};

struct AttentionArgs;    // attention.h
struct ConvolutionArgs;  // recurrence.h
struct DeltaArgs;

// Everything except matrix products (kernels/vector.inl). A call handles one row (token), unless it says otherwise;
// attention handles a range of items.
struct VectorKernels {
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t n, float* y);
  void (*rope)(float* x, const float* cos_sin, int64_t heads, int64_t head_dim, int64_t rotary_dim, bool interleaved);
  void (*glu_silu)(const float* gate, const float* up, int64_t n, float* y);
  void (*glu_gelu)(const float* gate, const float* up, int64_t n, float* y);
  void (*glu_clamped)(const float* gate, const float* up, int64_t n, float* y);
  void (*glu_sigmoid)(const float* gate, const float* up, int64_t n, float* y);
  void (*glu_identity)(const float* gate, const float* up, int64_t n, float* y);
  void (*gate)(const float* x, int64_t n, const float* h, const float* weight, int64_t columns, float* y);
  void (*add)(const float* a, const float* b, int64_t n, float* y);
  void (*scale)(float* x, float factor, int64_t n);
  void (*softcap)(float* x, float cap, int64_t n);
  void (*attention)(const AttentionArgs&, int64_t begin, int64_t end, float* scratch);
  // The tokens of one sequence, `rows` of the batch in order; `state` is that of the sequence.
  void (*convolve)(const ConvolutionArgs&, const int32_t* rows, int64_t count, float* state, int64_t channel_begin,
                   int64_t channel_end);
  void (*delta_rule)(const DeltaArgs&, const int32_t* rows, int64_t count, float* state, int64_t head, float* scratch);
};

// How a product with a format is computed: int8 inputs times the stored codes; bfloat16 inputs times bfloat16 weights;
// weights converted to float32 in registers; or weights converted to float32 a few rows at a time in scratch.
enum class Path { integer_dot, bf16_dot, floats, converted };

// Loops that are timed to find the machine's limits (kernels/limits.inl). `read` takes a multiple of 4096 bytes, without
// and with software prefetch, and returns a value that keeps the compiler from removing the reads; the others return
// the number of operations. bf16_dots uses the CPU's bfloat16 dot product where the op-set and this CPU have one,
// otherwise float32 after widening.
struct LimitKernels {
  uint64_t (*read[2])(const uint8_t* data, size_t bytes);
  int64_t (*integer_dots)(int64_t rounds);
  int64_t (*float32_dots)(int64_t rounds);
  int64_t (*bf16_dots)(int64_t rounds);
};

struct EncoderSet;  // quantize/encode.h

struct Tier {
  const char* name;
  uint32_t features;  // bits of cpu.h that the CPU must have
  MatmulKernels matmul;
  VectorKernels vector;
  Path (*path)(FormatId format, bool prefill);
  LimitKernels limits;
  // Converts `columns` columns of one row, or of consecutive rows, to float32. The caller has checked the format.
  void (*dequantize)(FormatId format, const uint8_t* data, int64_t columns, float* out);
  const EncoderSet* encoders;  // compiled with or without AVX2; the bytes are the same

  bool reads_floats(FormatId format) const { return path(format, false) != Path::integer_dot; }
};

const Tier* const* tiers(int* count);      // the tiers that this machine can run, slowest first (dispatch.cpp)
const Tier& tier();                        // the fastest, or the one BITWRIGHT_TIER names; throws std::invalid_argument
const Tier& tier_named(const char* name);  // nullptr: the fastest; throws std::invalid_argument when it cannot run here

}  // namespace bitwright
