#include "format_info.h"

#include <stdexcept>
#include <string>
#include <vector>

#include "unpack.h"

namespace bitwright {

Codebooks codebooks;

namespace {

const FormatInfo& known(FormatId id) {
  if (const FormatInfo* info = format_info(id)) return *info;
  throw std::invalid_argument("the native core does not know format " + std::to_string(int(id)));
}

}  // namespace

std::span<const FormatInfo> formats() {
  static const auto all = [] {
    std::vector<FormatInfo> made;
    const auto add = [&](FormatId id, int64_t columns, int64_t bytes) {
      made.push_back({id, columns, bytes, false, false});
    };
    add(FormatId::f32, 1, 4);
    add(FormatId::f16, 1, 2);
    add(FormatId::bf16, 1, 2);
    add(FormatId::float8_e4m3fn, 1, 1);
    add(FormatId::float8_e5m2, 1, 1);
    add(FormatId::float8_e8m0fnu, 1, 1);
    add(FormatId::float6_e2m3fn, 4, 3);
    add(FormatId::float6_e3m2fn, 4, 3);
    add(FormatId::float4_e2m1fn, 2, 1);
    any_block_format([&]<class F>() {
      made.push_back({F::id, F::columns, int64_t(sizeof(typename F::Block)), true, F::needs_codebooks});
      return false;
    });
    return made;
  }();
  return all;
}

const FormatInfo* format_info(FormatId id) {
  for (const FormatInfo& info : formats())
    if (info.id == id) return &info;
  return nullptr;
}

int64_t row_bytes(FormatId id, int64_t columns) {
  const FormatInfo& info = known(id);
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
