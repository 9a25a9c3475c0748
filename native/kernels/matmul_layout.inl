// The packed form of a weight.
//
// kLanes rows form a strip: chunks of eight groups of 32 columns, each the scales of its groups, then their codes. So
// decoding reads one stream, which is what processors fetch best. Codes are F::bits wide: a group takes F::bits vectors,
// in planes of whole vectors. Masks and shifts turn them into eight vectors, the k-th with columns 4k to 4k + 3 of every
// row:
//   a plane of 4 bits (4 vectors): vector i holds k = i in the low nibbles, k = i + 4 in the high ones
//   a plane of 2 bits (2 vectors): vector i holds k = i + 2 j at bit 2 j
//   a plane of 1 bit  (1 vector):  k at bit k
// 3, 5 and 6 bits are a plane of 2 or 4 bits and a plane of 1 or 2 for the upper bits. Threads share out panels of
// kRowVectors strips. Padding rows and groups have zero scales.

constexpr int kVector = Ops::kVector, kChunk = 8, kStrips = Ops::kRowVectors, kPanelRows = kLanes * kStrips;

template <int...> struct Indices {};

template <class T> constexpr T smaller(T a, T b) { return a < b ? a : b; }

template <class F> struct Layout {
  static constexpr int subs = 32 / F::sub_columns;
  static constexpr int block_groups = F::kind == Kind::super ? 8 : 1;
  static constexpr int offset = F::full ? Ops::kFullOffset : F::offset;
  static constexpr bool has_min = HasMin<F>;
  static constexpr bool paired = has_min && subs == 2;       // Q2_K: scale and min are 4 bits each, and share a byte
  static constexpr int halves = (1 + has_min) * 2 * kLanes;  // bytes of the float16 scale and min
  static constexpr int subs_bytes = subs * (paired ? 1 : 1 + has_min) * kLanes;
  static constexpr int scale_bytes =  // per block
      F::kind == Kind::half    ? halves
      : F::kind == Kind::super ? halves + 8 * subs_bytes
      : F::kind == Kind::real  ? 4 * kLanes
                               : subs * kLanes;
  static constexpr int code_bytes = F::bits * kVector;                                            // per group
  static constexpr int chunk_scales = int(padded(kChunk / block_groups * scale_bytes, kVector));  // bytes
  static constexpr int chunk_bytes = chunk_scales + kChunk * code_bytes;
  // Where a group's chunk, the scales of its block and its codes begin in the strip.
  static int64_t chunk_at(int64_t g) { return g / kChunk * chunk_bytes; }
  static int64_t scales_at(int64_t g) { return chunk_at(g) + g % kChunk / block_groups * scale_bytes; }
  static int64_t codes_at(int64_t g) { return chunk_at(g) + chunk_scales + g % kChunk * code_bytes; }
  static int64_t strip_bytes(int64_t groups) { return groups % kChunk ? codes_at(groups) : chunk_at(groups); }
};

// -- packing: plain code, run once at load

template <class T> void put(uint8_t* strip_item, int row, T value) {
  __builtin_memcpy(strip_item + row * sizeof(T), &value, sizeof(T));
}

// Packs the scales of block `index` of a strip, for one row; `at` is where that block's scales begin.
template <class F> void pack_scales(const typename F::Block& b, int g, uint8_t* at, int row) {
  using L = Layout<F>;
  if constexpr (F::kind == Kind::half) {
    put<half_t>(at, row, F::scale(b));
    if constexpr (L::has_min) put<half_t>(at + 2 * kLanes, row, F::min(b));
  } else if constexpr (F::kind == Kind::super) {
    put<half_t>(at, row, F::scale(b));
    if constexpr (L::has_min) put<half_t>(at + 2 * kLanes, row, F::min(b) ^ 0x8000);  // mins are subtracted
    for (int i = 0; i < 8 * L::subs; ++i) {
      uint8_t* sub = at + L::halves + i / L::subs * L::subs_bytes + i % L::subs * kLanes;
      if constexpr (L::paired)
        put<uint8_t>(sub, row, uint8_t(F::sub_scale(b, i) | F::sub_min(b, i) << 4));
      else
        put<int8_t>(sub, row, int8_t(F::sub_scale(b, i)));
      if constexpr (L::has_min && !L::paired) put<int8_t>(sub + L::subs * kLanes, row, int8_t(F::sub_min(b, i)));
    }
  } else if constexpr (F::kind == Kind::e8m0) {
    const uint8_t e = F::e(b);
    put<uint8_t>(at, row, uint8_t(e ? e - 1 : 0));  // halved, see e8m0_half_to_float; 2^-127 and below become 0
  } else if constexpr (F::kind == Kind::ue4m3) {
    for (int s = 0; s < 2; ++s) {
      const uint8_t e = F::e(b, 2 * g + s);
      put<uint8_t>(at + s * kLanes, row, e == 0x7f ? 0 : e & 0x7f);
    }
  } else {
    put<float>(at, row, F::scale(b));
  }
}

// The packed code of the signed code `c` is at [c & 255].
template <class F> struct CodeMap {
  uint8_t of[256] = {};
  CodeMap() {
    for (int c = -128; c < 128; ++c) of[c & 255] = uint8_t(c + Layout<F>::offset);
    if constexpr (HasTable<F>)
      for (int i = (1 << F::bits) - 1; i >= 0; --i) of[F::level(i) & 255] = uint8_t(i);
  }
};

template <class F> void pack_codes(const int8_t* codes, const CodeMap<F>& map, uint8_t* out, int row) {
  uint8_t packed[32];
  for (int c = 0; c < 32; ++c)  // adding where there is no table halves the time of packing
    packed[c] = HasTable<F> ? map.of[uint8_t(codes[c])] : uint8_t(codes[c] + Layout<F>::offset);
  uint32_t k[8];  // four codes each, so planes are built for four at once
  __builtin_memcpy(k, packed, 32);
  uint8_t* at = out + 4 * row;
  auto next = [&](uint32_t four) {
    __builtin_memcpy(at, &four, 4);
    at += kVector;
  };
  constexpr int low = F::bits >= 4 ? 4 : 2;
  auto low_of = [&](int i) { return k[i] & 0x01010101u * ((1 << low) - 1); };
  auto high_of = [&](int i, int mask) { return k[i] >> low & 0x01010101u * unsigned(mask); };
  if constexpr (F::bits == 8) {
    for (int i = 0; i < 8; ++i) next(k[i]);
    return;
  } else if constexpr (low == 4) {
    for (int i = 0; i < 4; ++i) next(low_of(i) | low_of(i + 4) << 4);
  } else {
    for (int i = 0; i < 2; ++i) next(low_of(i) | low_of(i + 2) << 2 | low_of(i + 4) << 4 | low_of(i + 6) << 6);
  }
  if constexpr (F::bits - low == 2) {
    for (int i = 0; i < 2; ++i)
      next(high_of(i, 3) | high_of(i + 2, 3) << 2 | high_of(i + 4, 3) << 4 | high_of(i + 6, 3) << 6);
  } else if constexpr (F::bits - low == 1) {
    uint32_t plane = 0;
    for (int i = 0; i < 8; ++i) plane |= high_of(i, 1) << i;
    next(plane);
  }
}

template <class F> void pack_panels(const Weight& w, uint8_t* packed, int64_t begin, int64_t end) {
  using L = Layout<F>;
  const int64_t groups = w.columns / 32, bytes = L::strip_bytes(groups);
  constexpr int block_groups = F::columns / 32;
  static const CodeMap<F> map;
  int8_t codes[32];
  for (int64_t strip = begin * kStrips; strip < end * kStrips; ++strip) {
    uint8_t* const out = packed + strip * bytes;
    const int64_t rows = smaller<int64_t>(kLanes, w.rows - strip * kLanes);
    if (rows < kLanes) __builtin_memset(out, 0, size_t(bytes));
    for (int row = 0; row < rows; ++row) {
      const uint8_t* file = w.file + (strip * kLanes + row) * row_bytes_of<F>(w.columns);
      for (int64_t g = 0; g < groups; ++g) {
        const auto& block = block_of<F>(file, g);
        F::codes(block, int(g % block_groups), codes);
        pack_codes<F>(codes, map, out + L::codes_at(g), row);
        if (g % L::block_groups == 0) pack_scales<F>(block, int(g % block_groups), out + L::scales_at(g), row);
      }
    }
  }
}

// -- unpacking, in registers

// Reads the scales of a strip's groups from g on to the end of its chunk, one after another.
template <class F> struct ScaleReader {
  using L = Layout<F>;
  const uint8_t* at;
  Floats super_scale{}, super_min{};

  ScaleReader(const uint8_t* strip, int64_t g) : at(strip + L::scales_at(g)) {
    if constexpr (F::kind == Kind::super) {
      static_assert(L::block_groups == kChunk);
      super_scale = load_half(at);
      if constexpr (F::factor != 1.0f) super_scale = super_scale * F::factor;
      if constexpr (L::has_min) super_min = load_half(at + 2 * kLanes);
      at += L::halves + g % kChunk * L::subs_bytes;
    }
  }

  void group(Floats* scale, Floats* min) {
    if constexpr (F::kind == Kind::half) {
      scale[0] = load_half(at);
      if constexpr (L::has_min) min[0] = load_half(at + 2 * kLanes);
      at += L::halves;
    } else if constexpr (F::kind == Kind::super) {
      for (int s = 0; s < L::subs; ++s) {
        const uint8_t* sub = at + s * kLanes;
        scale[s] = super_scale * (L::paired ? load_low(sub) : load_codes(reinterpret_cast<const int8_t*>(sub)));
        if constexpr (L::has_min) {
          const auto* after = reinterpret_cast<const int8_t*>(sub + L::subs * kLanes);
          min[s] = super_min * (L::paired ? load_high(sub) : load_codes(after));
        }
      }
      at += L::subs_bytes;
    } else {
      for (int s = 0; s < L::subs; ++s) {
        scale[s] = F::kind == Kind::real   ? load(reinterpret_cast<const float*>(at))
                   : F::kind == Kind::e8m0 ? load_exponent(at)
                                           : load_ue4m3(at + s * kLanes) * 128.0f;
      }
      at += L::scale_bytes;
    }
  }
};

template <class F> Bytes code_table() {
  uint8_t levels[16] = {};
  if constexpr (HasTable<F>)
    for (int i = 0; i < 1 << F::bits; ++i) levels[i] = uint8_t(F::level(i) + Layout<F>::offset);
  return Ops::table(levels);
}

// The eight vectors of unsigned codes (int8 for F::full without an offset) of the group at p.
template <class F> BITWRIGHT_INLINE void unpack_codes(const uint8_t* p, Bytes table, Bytes* w) {
  constexpr int low = F::bits >= 4 ? 4 : 2, high = F::bits - low;
  auto bits = [&]<int kLeft>(Bytes v, int mask) { return shift<kLeft>(v) & splat_byte(uint8_t(mask)); };
  auto each = [&]<int... i>(auto f, Indices<i...>) { (f.template operator()<i>(), ...); };
  if constexpr (F::bits == 8) {
    for (int k = 0; k < 8; ++k) w[k] = load(p + k * kVector);
    return;
  } else if constexpr (low == 4) {
    for (int k = 0; k < 4; ++k) {
      const Bytes v = load(p + k * kVector);
      w[k] = v & splat_byte(15);
      w[k + 4] = bits.template operator()<-4>(v, 15);
    }
  } else {
    for (int i = 0; i < 2; ++i) {
      const Bytes v = load(p + i * kVector);
      each([&]<int j>() { w[i + 2 * j] = bits.template operator()<-2 * j>(v, 3); }, Indices<0, 1, 2, 3>{});
    }
  }
  p += low * kVector;
  if constexpr (high == 2) {
    for (int i = 0; i < 2; ++i) {
      const Bytes v = load(p + i * kVector);
      each([&]<int j>() { w[i + 2 * j] |= bits.template operator()<low - 2 * j>(v, 3 << low); }, Indices<0, 1, 2, 3>{});
    }
  } else if constexpr (high == 1) {
    const Bytes v = load(p);
    each([&]<int k>() { w[k] |= bits.template operator()<low - k>(v, 1 << low); }, Indices<0, 1, 2, 3, 4, 5, 6, 7>{});
  }
  if constexpr (HasTable<F>)
    for (int k = 0; k < 8; ++k) w[k] = Ops::look_up(table, w[k]);
}
