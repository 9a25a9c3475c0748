#include "dequantize.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "unpack.h"

namespace bitwright {

Codebooks codebooks;

namespace {

struct Entry {
  FormatInfo info;
  bool needs_codebooks;
};

template <class F> constexpr Entry block_format(bool needs_codebooks = false) {
  return {{F::id, F::columns, int64_t(sizeof(typename F::Block)), true}, needs_codebooks};
}
constexpr Entry float_format(FormatId id, int64_t columns, int64_t bytes) {
  return {{id, columns, bytes, false}, false};
}

constexpr Entry kEntries[] = {
    float_format(FormatId::f32, 1, 4),
    float_format(FormatId::f16, 1, 2),
    float_format(FormatId::bf16, 1, 2),
    float_format(FormatId::float8_e4m3fn, 1, 1),
    float_format(FormatId::float8_e5m2, 1, 1),
    float_format(FormatId::float8_e8m0fnu, 1, 1),
    float_format(FormatId::float6_e2m3fn, 4, 3),
    float_format(FormatId::float6_e3m2fn, 4, 3),
    float_format(FormatId::float4_e2m1fn, 2, 1),
    block_format<Q4_0>(),
    block_format<Q4_1>(),
    block_format<Q5_0>(),
    block_format<Q5_1>(),
    block_format<Q8_0>(),
    block_format<Q2_K>(),
    block_format<Q3_K>(),
    block_format<Q4_K>(),
    block_format<Q5_K>(),
    block_format<Q6_K>(),
    block_format<Q8_K>(),
    block_format<IQ4_NL>(true),
    block_format<IQ4_XS>(true),
    block_format<MXFP4>(),
    block_format<NVFP4>(),
    block_format<IQ2_XXS>(true),
    block_format<IQ2_XS>(true),
    block_format<IQ2_S>(true),
    block_format<IQ3_XXS>(true),
    block_format<IQ3_S>(true),
    block_format<IQ1_S>(true),
    block_format<IQ1_M>(true),
    block_format<TQ1_0>(),
    block_format<TQ2_0>(),
    block_format<Q1_0>(),
    block_format<Q2_0>(),
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

}  // namespace bitwright
