// IQ4_NL and IQ4_XS: four-bit codes that index a fixed table of sixteen values, denser near zero.

constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};  // ggml: kvalues_iq4nl

struct Iq4Grid {
  static constexpr float low = -127.f, high = 113.f;
  BITWRIGHT_INLINE Floats nearest(Floats v) {
    Floats value = splat(kIq4Values[0]);
    for (int i = 1; i < 16; i++) value = v >= middle(i) ? splat(kIq4Values[i]) : value;
    return value;
  }
  BITWRIGHT_INLINE Floats code(Floats v) {
    Floats code{};
    for (int i = 1; i < 16; i++) code += select(v >= middle(i), splat(1.f), Floats{});
    return code;
  }
  BITWRIGHT_INLINE float middle(int i) { return 0.5f * (kIq4Values[i - 1] + kIq4Values[i]); }
};

BITWRIGHT_INLINE Floats scan_iq4(const Floats* x, const Floats* w) {
  return scan_symmetric<32, Iq4Grid>(x, w, splat(127.f), -127.f, 1.f, 7);
}

// The scale rounded to float16, or the scale fitted to the resulting codes if that lowers the weighted error without
// raising the plain one.
BITWRIGHT_INLINE Floats settle_iq4(const Floats* x, const Floats* w, Floats found) {
  Floats scale{}, best = splat(INFINITY), best_plain = best;
  for (int round = 0; round < 2; round++) {
    const Floats stored = as_half(found), inverse = reciprocal(stored);
    Floats error{}, plain{}, sum_lx{}, sum_ll{};
    for (int i = 0; i < 32; i++) {
      const Floats l = Iq4Grid::nearest(inverse * x[i]), miss = stored * l - x[i], square = miss * miss;
      error += w[i] * square;
      plain += square;
      sum_lx += w[i] * l * x[i];
      sum_ll += w[i] * l * l;
    }
    const Ints better = (error < best) & (plain <= best_plain);
    best = select(better, error, best);
    best_plain = select(better, plain, best_plain);
    scale = select(better, stored, scale);
    found = select(sum_ll > 0.f, sum_lx / sum_ll, found);
  }
  return scale;
}

static int64_t encode_iq4_nl(const float* x, const float*, int64_t blocks, uint8_t* out) {
  const auto encode = [](Floats* v, Floats& scale, Floats&) {
    Floats w[32];
    make_weights<32>(v, nullptr, 0.f, Weight::square, w);
    scale = settle_iq4(v, w, scan_iq4(v, w));
    const Floats inverse = reciprocal(scale);
    for (int i = 0; i < 32; i++) v[i] = Iq4Grid::code(inverse * v[i]);
  };
  return by_lanes<32>(x, blocks, encode, store_to<StoreIq4Nl>(out));
}

static int64_t encode_iq4_xs(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  auto* y = reinterpret_cast<block_iq4_xs*>(out);
  for (int64_t b = 0; b < blocks; b++, x += kSuper, importance += importance ? kSuper : 0) {
    Super<32> s;
    s.load(x, importance, importance ? 2 * mean_square(x) : 0.f, Weight::square);
    for (int g = 0; g < s.groups; g++) s.scale[g] = scan_iq4(s.x[g], s.w[g]);
    y[b].d = to_half(extreme_of(s.scale) / -32);
    if (is_infinite(y[b].d)) return b;
    for (int g = 0; g < s.groups; g++)
      settle_symmetric<32, 32, Iq4Grid>(s.x[g], s.w[g], half_to_float(y[b].d), s.scale[g]);
    write_symmetric(s, y[b]);
  }
  return -1;
}
