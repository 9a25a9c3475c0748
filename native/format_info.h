// The formats that the core supports, and the sizes of their rows.
#pragma once
#include <span>

#include "blocks.h"

namespace bitwright {

struct FormatInfo {
  FormatId id;
  int64_t block_columns, block_bytes;
  bool integer;          // a block format: codes and scales, multiplied by the integer dot product
  bool needs_codebooks;  // its codes come from codebooks.h
};

std::span<const FormatInfo> formats();
const FormatInfo* format_info(FormatId id);  // nullptr: the core does not support the format
// Throws std::invalid_argument when the format is unknown or `columns` is not a multiple of its block_columns.
int64_t row_bytes(FormatId id, int64_t columns);
// Throws std::invalid_argument when the format is unknown or its codebooks have not been set.
void check_ready(FormatId id);

}  // namespace bitwright
