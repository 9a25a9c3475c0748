// The tier's `dequantize`: rows of any format to float32. Included inside the tier's anonymous namespace, after
// unpack.h.

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
    __builtin_memcpy(&value, data + c * int64_t(sizeof(T)), sizeof(T));
    out[c] = kConvert(value);
  }
}

// Codes of kBits bits in one little-endian stream.
template <int kBits, float (*kConvert)(uint8_t)> void dense_row(const uint8_t* data, int64_t columns, float* out) {
  for (int64_t c = 0; c < columns; ++c) {
    const int64_t bit = c * kBits;
    const unsigned low = data[bit / 8], high = (bit % 8) + kBits > 8 ? data[bit / 8 + 1] : 0u;
    out[c] = kConvert(uint8_t((low | high << 8) >> (bit % 8) & ((1u << kBits) - 1)));
  }
}

inline void dequantize_row(FormatId format, const uint8_t* data, int64_t columns, float* out) {
  switch (format) {
    case FormatId::f32: __builtin_memcpy(out, data, size_t(columns) * 4); return;
    case FormatId::f16: return element_row<half_t, half_to_float>(data, columns, out);
    case FormatId::bf16: return element_row<bf16_t, bf16_to_float>(data, columns, out);
    case FormatId::float8_e4m3fn: return element_row<uint8_t, e4m3fn_to_float>(data, columns, out);
    case FormatId::float8_e5m2: return element_row<uint8_t, e5m2_to_float>(data, columns, out);
    case FormatId::float8_e8m0fnu: return element_row<uint8_t, e8m0fnu_to_float>(data, columns, out);
    case FormatId::float6_e2m3fn: return dense_row<6, e2m3fn_to_float>(data, columns, out);
    case FormatId::float6_e3m2fn: return dense_row<6, e3m2fn_to_float>(data, columns, out);
    case FormatId::float4_e2m1fn: return dense_row<4, e2m1fn_to_float>(data, columns, out);
    default: with_block_format(format, [&]<class F>() { block_row<F>(data, columns, out); });
  }
}
