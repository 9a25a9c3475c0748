#include "dequantize.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string>

#include "unpack.h"

namespace bitwright {

Codebooks codebooks;

namespace {

using Row = void (*)(const uint8_t*, int64_t, float*);
struct Entry {
  FormatInfo info;
  Row row;
  bool needs_codebooks;
};

template <class F> void block_row(const uint8_t* data, int64_t columns, float* out) {
  int8_t codes[32];
  for (int64_t group = 0; group < columns / 32; ++group) {
    const auto& block = block_of<F>(data, group);
    const int g = int(group % (F::columns / 32));
    F::codes(block, g, codes);
    constexpr int subs = 32 / F::sub_columns;
    for (int s = 0; s < subs; ++s) {
      const float scale = scale_of<F>(block, g * subs + s), min = min_of<F>(block, g * subs + s);
      for (int j = s * F::sub_columns; j < (s + 1) * F::sub_columns; ++j)
        out[32 * group + j] = scale * float(codes[j]) + min;
    }
  }
}

template <class T, float (*kConvert)(T)> void element_row(const uint8_t* data, int64_t columns, float* out) {
  for (int64_t c = 0; c < columns; ++c) {
    T value;
    std::memcpy(&value, data + c * int64_t(sizeof(T)), sizeof(T));
    out[c] = kConvert(value);
  }
}

// Codes of `kBits` bits in one little-endian stream.
template <int kBits, float (*kConvert)(uint8_t)> void dense_row(const uint8_t* data, int64_t columns, float* out) {
  for (int64_t c = 0; c < columns; ++c) {
    const int64_t bit = c * kBits;
    const unsigned low = data[bit / 8], high = (bit % 8) + kBits > 8 ? data[bit / 8 + 1] : 0u;
    out[c] = kConvert(uint8_t((low | high << 8) >> (bit % 8) & ((1u << kBits) - 1)));
  }
}

void float_row(const uint8_t* data, int64_t columns, float* out) { std::memcpy(out, data, size_t(columns) * 4); }

template <class F> constexpr Entry block_entry(bool needs_codebooks = false) {
  return {{F::id, F::columns, int64_t(sizeof(typename F::Block)), true}, block_row<F>, needs_codebooks};
}
constexpr Entry element(FormatId id, int64_t columns, int64_t bytes, Row row) {
  return {{id, columns, bytes, false}, row, false};
}

constexpr Entry kEntries[] = {
    element(FormatId::f32, 1, 4, float_row),
    element(FormatId::f16, 1, 2, element_row<half_t, half_to_float>),
    element(FormatId::bf16, 1, 2, element_row<bf16_t, bf16_to_float>),
    element(FormatId::float8_e4m3fn, 1, 1, element_row<uint8_t, e4m3fn_to_float>),
    element(FormatId::float8_e5m2, 1, 1, element_row<uint8_t, e5m2_to_float>),
    element(FormatId::float8_e8m0fnu, 1, 1, element_row<uint8_t, e8m0fnu_to_float>),
    element(FormatId::float6_e2m3fn, 4, 3, dense_row<6, e2m3fn_to_float>),
    element(FormatId::float6_e3m2fn, 4, 3, dense_row<6, e3m2fn_to_float>),
    element(FormatId::float4_e2m1fn, 2, 1, dense_row<4, e2m1fn_to_float>),
    block_entry<Q4_0>(),
    block_entry<Q4_1>(),
    block_entry<Q5_0>(),
    block_entry<Q5_1>(),
    block_entry<Q8_0>(),
    block_entry<Q2_K>(),
    block_entry<Q3_K>(),
    block_entry<Q4_K>(),
    block_entry<Q5_K>(),
    block_entry<Q6_K>(),
    block_entry<Q8_K>(),
    block_entry<IQ4_NL>(true),
    block_entry<IQ4_XS>(true),
    block_entry<MXFP4>(),
    block_entry<NVFP4>(),
    block_entry<IQ2_XXS>(true),
    block_entry<IQ2_XS>(true),
    block_entry<IQ2_S>(true),
    block_entry<IQ3_XXS>(true),
    block_entry<IQ3_S>(true),
    block_entry<IQ1_S>(true),
    block_entry<IQ1_M>(true),
    block_entry<TQ1_0>(),
    block_entry<TQ2_0>(),
    block_entry<Q1_0>(),
    block_entry<Q2_0>(),
};

const Entry* find(FormatId id) {
  for (const Entry& e : kEntries)
    if (e.info.id == id) return &e;
  return nullptr;
}

const Entry& known(FormatId id) {
  if (const Entry* e = find(id)) return *e;
  throw std::invalid_argument("the native core does not know format " + std::to_string(int(id)));
}

}  // namespace

const FormatInfo* format_info(FormatId id) {
  const Entry* e = find(id);
  return e ? &e->info : nullptr;
}

const FormatInfo* format_infos(int* count) {
  static const auto infos = [] {
    std::array<FormatInfo, std::size(kEntries)> all{};
    std::transform(std::begin(kEntries), std::end(kEntries), all.begin(), [](const Entry& e) { return e.info; });
    return all;
  }();
  *count = int(infos.size());
  return infos.data();
}

int64_t row_bytes(FormatId id, int64_t columns) {
  const FormatInfo& info = known(id).info;
  if (columns % info.block_columns) {
    throw std::invalid_argument("blocks of " + std::to_string(info.block_columns) + " columns do not divide " +
                                std::to_string(columns));
  }
  return columns / info.block_columns * info.block_bytes;
}

void check_ready(FormatId id) {
  if (known(id).needs_codebooks && !codebooks.loaded) {
    throw std::invalid_argument("format " + std::to_string(int(id)) +
                                " needs its codebooks: call kernels.codebooks first");
  }
}

void dequantize(FormatId id, const uint8_t* data, int64_t columns, float* out) {
  check_ready(id);
  row_bytes(id, columns);
  known(id).row(data, columns, out);
}

}  // namespace bitwright
