// Chooses the scale (and min) of kLanes sub-blocks at a time by weighted least squares over a scan of starting scales
// (ggml's make_qkx2_quants, make_qx_quants, make_q3_quants), and rounds them to the few bits that a superblock stores.
//
// "low" is the value that code 0 of an asymmetric sub-block decodes to. It is never positive; -low is stored.

// ---- asymmetric: x ~ scale * code + low, code in 0..Top ----

template <int N, bool Absolute>
BITWRIGHT_INLINE Floats fit_error(const Floats* x, const Floats* w, const Floats* code, Floats scale, Floats low,
                                  Floats error = Floats{}) {
  for (int i = 0; i < N; i++) {
    const Floats miss = scale * code[i] + low - x[i];
    error += w[i] * (Absolute ? abs(miss) : miss * miss);
  }
  return error;
}

BITWRIGHT_INLINE Floats asymmetric_code(Floats x, Floats inverse, Floats low, float top) {
  return clamp(round_even(inverse * (x - low)), 0.f, top);
}

struct Scan {  // inverse scales tried: (top + first + step * i) / range, i = 0..steps
  float first, step;
  int steps;
};

// Moving: codes are computed from the best low so far, as in ggml, not from the least value.
template <int N, int Top, bool Absolute, bool Moving>
BITWRIGHT_INLINE void scan_asymmetric(const Floats* x, const Floats* w, Scan scan, Floats& scale, Floats& low) {
  Floats least = x[0], most = x[0], sum_w{}, sum_x{}, code[N];
  for (int i = 0; i < N; i++) {
    least = min(x[i], least);
    most = max(x[i], most);
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  const Floats start = min(least, Floats{}), inverse_range = reciprocal(most - start);
  Floats height[N];
  for (int i = 0; i < N; i++) height[i] = x[i] - start;  // never negative, so only the upper end needs a clamp
  const auto encode = [&](float steps) BITWRIGHT_FORCE {
    const Floats inverse = steps * (Moving ? reciprocal(most - low) : inverse_range);
    for (int i = 0; i < N; i++)
      code[i] = Moving ? asymmetric_code(x[i], inverse, low, Top) : min(round_even(inverse * height[i]), splat(Top));
  };
  low = start;
  scale = (most - start) / static_cast<float>(Top);
  encode(Top);
  Floats best = fit_error<N, Absolute>(x, w, code, scale, low);
  for (int step = 0; step <= scan.steps; step++) {
    encode(scan.first + scan.step * static_cast<float>(step) + static_cast<float>(Top));
    Floats sum_l{}, sum_ll{}, sum_lx{};
    for (int i = 0; i < N; i++) {
      const Floats wl = w[i] * code[i];
      sum_l += wl;
      sum_ll += wl * code[i];
      sum_lx += wl * x[i];
    }
    const Floats determinant = sum_w * sum_ll - sum_l * sum_l;
    Floats s = (sum_w * sum_lx - sum_x * sum_l) / determinant, m = (sum_ll * sum_x - sum_l * sum_lx) / determinant;
    const Ints positive = m > 0.f;
    s = select(positive, sum_lx / sum_ll, s);
    m = select(positive, Floats{}, m);
    const Floats error = fit_error<N, Absolute>(x, w, code, s, m);
    const Ints better = (determinant > 0.f) & (error < best);
    best = select(better, error, best);
    scale = select(better, s, scale);
    low = select(better, m, low);
  }
}

// Sub-scales and sub-mins as integers 0..Limit times super_scale and super_min, chosen together: the rounded integers and
// their neighbours, each with the min that fits its codes best, are compared by the error of their codes. On return x
// holds the codes.
template <int N, int Top, int Limit, bool Absolute>
BITWRIGHT_INLINE void settle_asymmetric(Floats* x, const Floats* w, float super_scale, float super_min, Floats& scale,
                                        Floats& low) {
  const Floats inverse_super_min = reciprocal(splat(super_min));
  const Floats rounded = clamp(round_even(scale * reciprocal(splat(super_scale))), 0.f, Limit);
  const Floats rounded_low = clamp(round_even(-low * inverse_super_min), 0.f, Limit);
  Floats best = splat(INFINITY), best_scale = rounded, best_low = rounded_low, code[N], sum_w{}, sum_x{};
  for (int i = 0; i < N; i++) {
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  const Floats inverse_w = reciprocal(sum_w);
  for (int delta : {0, -1, 1}) {
    const Floats candidate = clamp(rounded + static_cast<float>(delta), 0.f, Limit), s = super_scale * candidate,
                 inverse = reciprocal(s);
    Floats candidate_low = rounded_low;
    for (int pass = 0; pass < 2; pass++) {
      const Floats m = -super_min * candidate_low;
      Floats sum_l{};
      for (int i = 0; i < N; i++) {
        code[i] = asymmetric_code(x[i], inverse, m, Top);
        sum_l += w[i] * code[i];
      }
      const Floats error = fit_error<N, Absolute>(x, w, code, s, m);
      const Ints better = error < best;
      best = select(better, error, best);
      best_scale = select(better, candidate, best_scale);
      best_low = select(better, candidate_low, best_low);
      candidate_low = clamp(round_even((s * sum_l - sum_x) * inverse_w * inverse_super_min), 0.f, Limit);
    }
  }
  scale = best_scale;
  low = best_low;
  const Floats inverse = reciprocal(super_scale * scale), m = -super_min * low;
  for (int i = 0; i < N; i++) x[i] = asymmetric_code(x[i], inverse, m, Top);
}

// ---- symmetric: x ~ scale * grid value ----

template <int Half>
struct IntegerGrid {  // -Half .. Half - 1
  static constexpr float low = -Half, high = Half - 1;
  BITWRIGHT_INLINE Floats nearest(Floats v) { return clamp(round_even(v), -Half, Half - 1); }
  BITWRIGHT_INLINE Floats code(Floats v) { return nearest(v) + static_cast<float>(Half); }
};

// The best of the inverse scales first_inverse / extreme and (centre + step * i) / extreme, i = -reach..reach. Each is
// refitted to its codes and judged by how much it reduces the squared error.
template <int N, class Grid>
BITWRIGHT_INLINE Floats scan_symmetric(const Floats* x, const Floats* w, Floats first_inverse, float centre, float step,
                                       int reach) {
  const Floats inverse_extreme = reciprocal(signed_extreme<N>(x));
  Floats scale{}, best = splat(0.f);
  for (int i = -reach - 1; i <= reach; i++) {
    const Floats inverse =
        i < -reach ? first_inverse * inverse_extreme : (centre + step * static_cast<float>(i)) * inverse_extreme;
    Floats sum_lx{}, sum_ll{};
    for (int j = 0; j < N; j++) {
      const Floats l = Grid::nearest(inverse * x[j]), wl = w[j] * l;
      sum_lx += wl * x[j];
      sum_ll += wl * l;
    }
    const Ints better = (sum_ll > 0.f) & (sum_lx * sum_lx > best * sum_ll);
    const Floats refitted = sum_lx / sum_ll;
    scale = select(better, refitted, scale);
    best = select(better, refitted * sum_lx, best);
  }
  return scale;
}

// Improves codes -4..3 one at a time in five passes: each becomes the nearest at the scale fitted to the others, if that
// lowers the error (ggml's make_q3_quants).
template <int N>
BITWRIGHT_INLINE Floats scan_by_coordinates(const Floats* x, const Floats* w) {
  using Grid = IntegerGrid<4>;
  const Floats inverse = -4.f * reciprocal(signed_extreme<N>(x));
  Floats code[N], sum_lx{}, sum_ll{};
  for (int i = 0; i < N; i++) {
    code[i] = Grid::nearest(inverse * x[i]);
    sum_lx += w[i] * x[i] * code[i];
    sum_ll += w[i] * code[i] * code[i];
  }
  for (int pass = 0; pass < 5; pass++) {
    Ints changed{};
    for (int i = 0; i < N; i++) {
      const Floats wx = w[i] * x[i], rest_lx = sum_lx - wx * code[i], rest_ll = sum_ll - w[i] * code[i] * code[i];
      const Floats proposed = Grid::nearest(clamp(x[i] * rest_ll / rest_lx, -8.f, 8.f));
      const Floats new_lx = rest_lx + wx * proposed, new_ll = rest_ll + w[i] * proposed * proposed;
      const Ints better = (rest_lx > 0.f) & (new_ll > 0.f) & (new_lx * new_lx * sum_ll > sum_lx * sum_lx * new_ll);
      code[i] = select(better, proposed, code[i]);
      sum_lx = select(better, new_lx, sum_lx);
      sum_ll = select(better, new_ll, sum_ll);
      changed |= better;
    }
    if (!any(changed)) break;
  }
  return select(sum_ll > 0.f, sum_lx / sum_ll, Floats{});
}

// The sub-scale as an integer -Limit..Limit - 1 times super_scale: the rounded integer, or a neighbour whose codes lower
// the weighted error without raising the plain one. On return x holds the stored codes.
template <int N, int Limit, class Grid>
BITWRIGHT_INLINE void settle_symmetric(Floats* x, const Floats* w, float super_scale, Floats& scale) {
  const Floats rounded = clamp(round_even(scale * reciprocal(splat(super_scale))), -Limit, Limit - 1);
  Floats best = splat(INFINITY), best_plain = best, best_scale = rounded;
  for (int delta : {0, -1, 1}) {
    const Floats candidate = clamp(rounded + static_cast<float>(delta), -Limit, Limit - 1), s = super_scale * candidate;
    const Floats inverse = reciprocal(s);
    Floats error{}, plain{};
    for (int i = 0; i < N; i++) {
      const Floats miss = s * Grid::nearest(inverse * x[i]) - x[i], square = miss * miss;
      error += w[i] * square;
      plain += square;
    }
    const Ints better = (error < best) & (plain <= best_plain);
    best = select(better, error, best);
    best_plain = select(better, plain, best_plain);
    best_scale = select(better, candidate, best_scale);
  }
  scale = best_scale;
  const Floats inverse = reciprocal(super_scale * scale);
  for (int i = 0; i < N; i++) x[i] = Grid::code(inverse * x[i]);
}

// ---- weights of the squared error ----

enum class Weight { magnitude, mean_plus_magnitude, square };

// Without importance, large values weigh more. With it, the weight is importance * sqrt(spread + x^2), or importance
// alone where spread is negative (ggml's rules; spread is a multiple of the block's mean square).
template <int N>
BITWRIGHT_INLINE void make_weights(const Floats* x, const float* importance, float spread, Weight kind, Floats* w) {
  if (importance) {
    load_lanes<N>(importance, kLanes, w);
    for (int i = 0; i < N && spread >= 0.f; i++) w[i] = w[i] * sqrt(spread + x[i] * x[i]);
    return;
  }
  Floats sum{};
  for (int i = 0; i < N; i++) sum += x[i] * x[i];
  const Floats mean = kind == Weight::mean_plus_magnitude ? sqrt(sum / static_cast<float>(N)) : Floats{};
  for (int i = 0; i < N; i++) w[i] = kind == Weight::square ? x[i] * x[i] : mean + abs(x[i]);
}

BITWRIGHT_INLINE float mean_square(const float* x) {
  float sum = 0.f;
  for (int i = 0; i < kSuper; i++) sum += x[i] * x[i];
  return sum / kSuper;
}
