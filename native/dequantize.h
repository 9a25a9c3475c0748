// Stored bytes to float32, for every format, bit-equal to ggml where ggml knows the format.
#pragma once
#include "blocks.h"

namespace bitwright {

struct FormatInfo {
  FormatId id;
  int64_t block_columns, block_bytes;
  bool integer;  // a block format: codes and scales, multiplied by the integer dot product
};

// nullptr when the core does not know the format.
const FormatInfo* format_info(FormatId id);
const FormatInfo* format_infos(int* count);
int64_t row_bytes(FormatId id, int64_t columns);  // columns: a multiple of the format's block_columns
// Columns of one row, or of rows that follow one another. Throws std::invalid_argument when the format is unknown, when blocks
// do not divide the columns, or when it needs codebooks that nobody has set.
void dequantize(FormatId id, const uint8_t* data, int64_t columns, float* out);
void check_ready(FormatId id);  // throws like dequantize

}  // namespace bitwright
