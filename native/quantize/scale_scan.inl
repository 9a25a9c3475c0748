// Choosing the scale (and min) of kLanes sub-blocks at a time by weighted least squares over a scan of starting scales
// (ggml's make_qkx2_quants, make_qx_quants, make_q3_quants), and settling them on the few bits a superblock stores.
//
// "low" is the value that code 0 of an asymmetric sub-block decodes to: never positive; what is stored is -low.

// ---- asymmetric: x ~ scale * code + low, code in 0..Top ----

template <int N, bool Absolute>
BITWRIGHT_INLINE floats fit_error(const floats* x, const floats* w, const floats* code, floats scale, floats low) {
  floats error{};
  for (int i = 0; i < N; i++) {
    const floats miss = scale * code[i] + low - x[i];
    error += w[i] * (Absolute ? abs_of(miss) : miss * miss);
  }
  return error;
}

BITWRIGHT_INLINE floats asymmetric_code(floats x, floats inverse, floats low, float top) {
  return clamp(round_even(inverse * (x - low)), 0.f, top);
}

struct Scan {  // inverse scales tried: (top + first + step * i) / range, i = 0..steps
  float first, step;
  int steps;
};

// Moving: codes are tried from the best low so far, as ggml does, not from the least value.
template <int N, int Top, bool Absolute, bool Moving>
BITWRIGHT_INLINE void scan_asymmetric(const floats* x, const floats* w, Scan scan, floats& scale, floats& low) {
  floats least = x[0], most = x[0], sum_w{}, sum_x{}, code[N];
  for (int i = 0; i < N; i++) {
    least = min_of(x[i], least);
    most = max_of(x[i], most);
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  const floats start = min_of(least, floats{}), inverse_range = reciprocal(most - start);
  floats height[N];
  for (int i = 0; i < N; i++) height[i] = x[i] - start;  // never negative, so only the upper end needs a clamp
  const auto encode = [&](float steps) BITWRIGHT_FORCE {
    const floats inverse = steps * (Moving ? reciprocal(most - low) : inverse_range);
    for (int i = 0; i < N; i++)
      code[i] = Moving ? asymmetric_code(x[i], inverse, low, Top) : min_of(round_even(inverse * height[i]), splat(Top));
  };
  low = start;
  scale = (most - start) / static_cast<float>(Top);
  encode(Top);
  floats best = fit_error<N, Absolute>(x, w, code, scale, low);
  for (int step = 0; step <= scan.steps; step++) {
    encode(scan.first + scan.step * static_cast<float>(step) + static_cast<float>(Top));
    floats sum_l{}, sum_ll{}, sum_lx{};
    for (int i = 0; i < N; i++) {
      const floats wl = w[i] * code[i];
      sum_l += wl;
      sum_ll += wl * code[i];
      sum_lx += wl * x[i];
    }
    const floats determinant = sum_w * sum_ll - sum_l * sum_l;
    floats s = (sum_w * sum_lx - sum_x * sum_l) / determinant, m = (sum_ll * sum_x - sum_l * sum_lx) / determinant;
    const ints positive = m > 0.f;
    s = select(positive, sum_lx / sum_ll, s);
    m = select(positive, floats{}, m);
    const floats error = fit_error<N, Absolute>(x, w, code, s, m);
    const ints better = (determinant > 0.f) & (error < best);
    best = select(better, error, best);
    scale = select(better, s, scale);
    low = select(better, m, low);
  }
}

// Sub-scales and sub-mins as integers 0..Limit of d and dmin, chosen together: the rounded ones and their neighbours, each with
// the min that fits its codes best, by the error of the codes they lead to. On return x holds the codes.
template <int N, int Top, int Limit, bool Absolute>
BITWRIGHT_INLINE void settle_asymmetric(floats* x, const floats* w, float d, float dmin, floats& scale, floats& low) {
  const floats inverse_dmin = reciprocal(splat(dmin));
  const floats rounded = clamp(round_even(scale * reciprocal(splat(d))), 0.f, Limit);
  const floats rounded_low = clamp(round_even(-low * inverse_dmin), 0.f, Limit);
  floats best = splat(INFINITY), best_scale = rounded, best_low = rounded_low, code[N], sum_w{}, sum_x{};
  for (int i = 0; i < N; i++) {
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  const floats inverse_w = reciprocal(sum_w);
  for (int delta : {0, -1, 1}) {
    const floats candidate = clamp(rounded + static_cast<float>(delta), 0.f, Limit), s = d * candidate,
                 inverse = reciprocal(s);
    floats candidate_low = rounded_low;
    for (int pass = 0; pass < 2; pass++) {
      const floats m = -dmin * candidate_low;
      floats sum_l{};
      for (int i = 0; i < N; i++) {
        code[i] = asymmetric_code(x[i], inverse, m, Top);
        sum_l += w[i] * code[i];
      }
      const floats error = fit_error<N, Absolute>(x, w, code, s, m);
      const ints better = error < best;
      best = select(better, error, best);
      best_scale = select(better, candidate, best_scale);
      best_low = select(better, candidate_low, best_low);
      candidate_low = clamp(round_even((s * sum_l - sum_x) * inverse_w * inverse_dmin), 0.f, Limit);
    }
  }
  scale = best_scale;
  low = best_low;
  const floats inverse = reciprocal(d * scale), m = -dmin * low;
  for (int i = 0; i < N; i++) x[i] = asymmetric_code(x[i], inverse, m, Top);
}

// ---- symmetric: x ~ scale * grid value ----

template <int Half>
struct IntegerGrid {  // -Half .. Half - 1
  static constexpr float low = -Half, high = Half - 1;
  BITWRIGHT_INLINE floats nearest(floats v) { return clamp(round_even(v), -Half, Half - 1); }
  BITWRIGHT_INLINE floats code(floats v) { return nearest(v) + static_cast<float>(Half); }
};

// Best of the scales 1 / inverse and then (centre + step * i) / extreme, i = -reach..reach: each is refitted to the codes it leads
// to, and judged by the squared error it takes away.
template <int N, class Grid>
BITWRIGHT_INLINE floats scan_symmetric(const floats* x, const floats* w, floats first_inverse, float centre, float step,
                                       int reach) {
  const floats inverse_extreme = reciprocal(signed_extreme<N>(x));
  floats scale{}, best = splat(0.f);
  for (int i = -reach - 1; i <= reach; i++) {
    const floats inverse =
        i < -reach ? first_inverse * inverse_extreme : (centre + step * static_cast<float>(i)) * inverse_extreme;
    floats sum_lx{}, sum_ll{};
    for (int j = 0; j < N; j++) {
      const floats l = Grid::nearest(inverse * x[j]), wl = w[j] * l;
      sum_lx += wl * x[j];
      sum_ll += wl * l;
    }
    const ints better = (sum_ll > 0.f) & (sum_lx * sum_lx > best * sum_ll);
    const floats refitted = sum_lx / sum_ll;
    scale = select(better, refitted, scale);
    best = select(better, refitted * sum_lx, best);
  }
  return scale;
}

// Codes -4..3 improved one at a time, five passes: each code becomes the nearest to what the others' scale asks for, where that
// lowers the error (ggml's make_q3_quants).
template <int N>
BITWRIGHT_INLINE floats scan_by_coordinates(const floats* x, const floats* w) {
  using Grid = IntegerGrid<4>;
  const floats inverse = -4.f * reciprocal(signed_extreme<N>(x));
  floats code[N], sum_lx{}, sum_ll{};
  for (int i = 0; i < N; i++) {
    code[i] = Grid::nearest(inverse * x[i]);
    sum_lx += w[i] * x[i] * code[i];
    sum_ll += w[i] * code[i] * code[i];
  }
  for (int pass = 0; pass < 5; pass++) {
    ints changed{};
    for (int i = 0; i < N; i++) {
      const floats wx = w[i] * x[i], rest_lx = sum_lx - wx * code[i], rest_ll = sum_ll - w[i] * code[i] * code[i];
      const floats proposed = Grid::nearest(clamp(x[i] * rest_ll / rest_lx, -8.f, 8.f));
      const floats new_lx = rest_lx + wx * proposed, new_ll = rest_ll + w[i] * proposed * proposed;
      const ints better = (rest_lx > 0.f) & (new_ll > 0.f) & (new_lx * new_lx * sum_ll > sum_lx * sum_lx * new_ll);
      code[i] = select(better, proposed, code[i]);
      sum_lx = select(better, new_lx, sum_lx);
      sum_ll = select(better, new_ll, sum_ll);
      changed |= better;
    }
    if (!any(changed)) break;
  }
  return select(sum_ll > 0.f, sum_lx / sum_ll, floats{});
}

// The sub-scale as an integer of d in -Limit..Limit - 1: the rounded one, or a neighbour whose codes lower the weighted error
// without raising the plain one. On return x holds the stored codes.
template <int N, int Limit, class Grid>
BITWRIGHT_INLINE void settle_symmetric(floats* x, const floats* w, float d, floats& scale) {
  const floats rounded = clamp(round_even(scale * reciprocal(splat(d))), -Limit, Limit - 1);
  floats best = splat(INFINITY), best_plain = best, best_scale = rounded;
  for (int delta : {0, -1, 1}) {
    const floats candidate = clamp(rounded + static_cast<float>(delta), -Limit, Limit - 1), s = d * candidate;
    const floats inverse = reciprocal(s);
    floats error{}, plain{};
    for (int i = 0; i < N; i++) {
      const floats miss = s * Grid::nearest(inverse * x[i]) - x[i], square = miss * miss;
      error += w[i] * square;
      plain += square;
    }
    const ints better = (error < best) & (plain <= best_plain);
    best = select(better, error, best);
    best_plain = select(better, plain, best_plain);
    best_scale = select(better, candidate, best_scale);
  }
  scale = best_scale;
  const floats inverse = reciprocal(d * scale);
  for (int i = 0; i < N; i++) x[i] = Grid::code(inverse * x[i]);
}

// ---- weights of the squared error ----

enum class Weight { magnitude, mean_plus_magnitude, square };

// Without importance: by the value itself, large values counting more. With it: importance * sqrt(spread + x^2), or importance
// alone where spread is negative (ggml's rules; spread is a multiple of the block's mean square).
template <int N>
BITWRIGHT_INLINE void make_weights(const floats* x, const float* importance, float spread, Weight kind, floats* w) {
  if (importance) {
    load_lanes<N>(importance, kLanes, w);
    for (int i = 0; i < N && spread >= 0.f; i++) w[i] = w[i] * sqrt_of(spread + x[i] * x[i]);
    return;
  }
  floats sum{};
  for (int i = 0; i < N; i++) sum += x[i] * x[i];
  const floats mean = kind == Weight::mean_plus_magnitude ? sqrt_of(sum / static_cast<float>(N)) : floats{};
  for (int i = 0; i < N; i++) w[i] = kind == Weight::square ? x[i] * x[i] : mean + abs_of(x[i]);
}

BITWRIGHT_INLINE float mean_square(const float* x) {
  float sum = 0.f;
  for (int i = 0; i < kSuper; i++) sum += x[i] * x[i];
  return sum / kSuper;
}
