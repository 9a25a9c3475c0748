// The tier's VectorKernels: everything except matrix products. Defines `vector_kernels`. Included inside the tier's
// namespace, after its op-set, tier.h and attention.h.

#include "attention.inl"

// y[i] = f(a[i], b[i]) for n values; the last ones are processed in a padded vector.
template <typename F>
static inline void map(const float* a, const float* b, int64_t n, float* y, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, f(load(a + i), load(b + i)));
  if (i == n) return;
  Floats x{}, z{};
  for (int64_t j = i; j < n; ++j) x[j - i] = a[j], z[j - i] = b[j];
  const Floats r = f(x, z);
  for (int64_t j = i; j < n; ++j) y[j] = r[j - i];
}

// Products are summed in float over at most 256 values, then in double.
static double dot(const float* a, const float* b, int64_t n) {
  double total = 0;
  int64_t i = 0;
  while (i + kLanes <= n) {
    Floats products{};
    for (const int64_t end = i + 256; i < end && i + kLanes <= n; i += kLanes)
      products = fma(load(a + i), load(b + i), products);
    total += sum(products);
  }
  for (; i < n; ++i) total += static_cast<double>(a[i]) * b[i];
  return total;
}

static void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* y) {
  const Floats factor = splat(static_cast<float>(1 / __builtin_sqrt(dot(x, x, n) / static_cast<double>(n) + eps)));
  map(x, weight, n, y, [=](Floats a, Floats w) { return a * factor * w; });
}

// cos_sin holds rotary_dim / 2 cosines, then as many sines. Interleaved pairs are (2i, 2i + 1), the others
// (i, i + rotary_dim / 2).
static void rope(float* x, const float* cos_sin, int64_t heads, int64_t head_dim, int64_t rotary_dim,
                 bool interleaved) {
  const int64_t half = rotary_dim / 2;
  const float *cosine = cos_sin, *sine = cos_sin + half;
  for (; heads > 0; --heads, x += head_dim) {
    int64_t i = 0;
    if (interleaved) {
      for (; i < half; ++i) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cosine[i] - b * sine[i];
        x[2 * i + 1] = a * sine[i] + b * cosine[i];
      }
      continue;
    }
    for (; i + kLanes <= half; i += kLanes) {
      const Floats a = load(x + i), b = load(x + half + i), c = load(cosine + i), s = load(sine + i);
      store(x + i, a * c - b * s);
      store(x + half + i, a * s + b * c);
    }
    for (; i < half; ++i) {
      const float a = x[i], b = x[half + i];
      x[i] = a * cosine[i] - b * sine[i];
      x[half + i] = a * sine[i] + b * cosine[i];
    }
  }
}

static void glu_silu(const float* gate, const float* up, int64_t n, float* y) {
  map(gate, up, n, y, [](Floats g, Floats u) { return g / (1.f + exp(-g)) * u; });
}

// 0.5 g (1 + tanh(z)) is g / (1 + e^-2z), z = sqrt(2 / pi) (g + 0.044715 g³).
static void glu_gelu(const float* gate, const float* up, int64_t n, float* y) {
  map(gate, up, n, y,
      [](Floats g, Floats u) { return g / (1.f + exp(g * (-1.5957691216f - 0.0713548163f * g * g))) * u; });
}

// gpt-oss: g / (1 + e^-1.702 g) * (u + 1), where g is at most 7, and u within 7 of 0.
static void glu_clamped(const float* gate, const float* up, int64_t n, float* y) {
  map(gate, up, n, y, [](Floats gate, Floats up) {
    const Floats g = min(gate, splat(7.f)), u = clamp(up, -7.f, 7.f);
    return g / (1.f + exp(g * -1.702f)) * (u + 1.f);
  });
}

static void glu_sigmoid(const float* gate, const float* up, int64_t n, float* y) {
  map(gate, up, n, y, [](Floats g, Floats u) { return u / (1.f + exp(-g)); });
}

static void glu_identity(const float* gate, const float* up, int64_t n, float* y) {
  map(gate, up, n, y, [](Floats g, Floats u) { return g * u; });
}

// x times the sigmoid of h·weight
static void gate(const float* x, int64_t n, const float* h, const float* weight, int64_t columns, float* y) {
  const Floats share = 1.f / (1.f + exp(splat(static_cast<float>(-dot(h, weight, columns)))));
  map(x, x, n, y, [=](Floats a, Floats) { return a * share; });
}

static void add(const float* a, const float* b, int64_t n, float* y) {
  map(a, b, n, y, [](Floats p, Floats q) { return p + q; });
}

static void scale(float* x, float factor, int64_t n) {
  map(x, x, n, x, [=](Floats a, Floats) { return a * factor; });
}

static void softcap(float* x, float cap, int64_t n) {
  map(x, x, n, x, [=](Floats a, Floats) { return cap * tanh(a / cap); });
}

#include "recurrent.inl"

static constexpr VectorKernels vector_kernels = {rms_norm,    rope,         glu_silu, glu_gelu,  glu_clamped,
                                                 glu_sigmoid, glu_identity, gate,     add,       scale,
                                                 softcap,     attention,    convolve, delta_rule};
