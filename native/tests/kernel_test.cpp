// Tests products in every tier of this build, for every format, ragged size, token count and path, against sums in double
// of the dequantized weights. Where all terms are multiples of one power of two and below 2^24 times it, float arithmetic
// is exact and the results must be equal, so the integer parts of all tiers agree. Elsewhere the bound is derived. The
// result of a token has the same bits on both paths and among any other tokens. Prints one line per tier. On failure it
// also prints the worst cell and returns 1. Needs no Python, so it runs under an emulator.
#include "random_cases.h"

using namespace bitwright;

namespace {

struct Worst {
  double ratio = 0;
  std::string cell;
  int64_t exact = 0, cells = 0;
};

void compare(const Tier& tier, const Case& c, int64_t tokens, bool prefill, const std::vector<float>& y, int64_t stride,
             Worst& worst) {
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < stride; ++r) {
      const float got = y[size_t(t * stride + r)];
      const size_t i = size_t(t * c.rows + r);
      if (r >= c.rows && got == -7.0f) continue;  // the gap between rows of y must not change
      const double want = r < c.rows ? c.want[i] : -7.0, magnitude = r < c.rows ? c.magnitude[i] : 0;
      // A min is added separately from its codes, so partial sums exceed the terms, here by at most 8 times.
      const bool exact = c.unit > 0 && 8 * magnitude < c.unit * 16777216.0;
      const double bound =
          exact ? 0 : magnitude * 8 * double(c.columns / 16 + 8) * 0x1p-24;  // one rounding per addition
      worst.exact += exact;
      worst.cells += 1;
      const double ratio = got == want ? 0 : bound > 0 ? std::fabs(got - want) / bound : HUGE_VAL;
      if (!(ratio <= worst.ratio)) {
        char text[256];
        std::snprintf(text, sizeof text, "%s %s (%lld, %lld) %s token %lld of %lld row %lld: expected %.9g, got %.9g",
                      tier.name, c.name.c_str(), (long long)c.rows, (long long)c.columns,
                      prefill ? "prefill" : "decode", (long long)t, (long long)tokens, (long long)r, want, got);
        worst.ratio = std::isnan(ratio) ? HUGE_VAL : ratio;
        worst.cell = text;
      }
    }
  }
}

// The case as a product of bfloat16 sees it: the inputs are rounded to bfloat16.
Case with_rounded_inputs(Case c) {
  for (float& x : c.x) {
    const double step = std::ldexp(1.0, std::ilogb(x) - 7);  // 8 bits of significand
    if (x != 0) x = float(std::nearbyint(x / step) * step);
  }
  fill_sums(c);
  return c;
}

uint8_t* align(std::vector<uint8_t>& v) { return v.data() + (64 - reinterpret_cast<uintptr_t>(v.data()) % 64) % 64; }

void run(const Tier& tier, const Case& c, Worst& worst) {
  const MatmulKernels& k = tier.matmul;
  Weight w = {c.format, c.rows, c.columns, c.file.data(), nullptr};
  const size_t bytes = k.packed_bytes(w), scratch_bytes = k.scratch_bytes(w);
  std::vector<uint8_t> packed(bytes + 128, 0xee), scratch(scratch_bytes + 128, 0xff);
  const int64_t panels = k.panels(w);
  if (bytes) {
    for (int64_t p = 0; p < panels; ++p) k.pack(w, align(packed), p, p + 1);
    for (int i = 0; i < 8; ++i)
      if (align(packed)[bytes + size_t(i)] != 0xee) {
        worst.ratio = HUGE_VAL;
        worst.cell = std::string(tier.name) + " " + c.name + " wrote past its packed weights";
      }
    w.packed = align(packed);
  }
  const int64_t stride = c.rows + 3;
  const Case& expected = tier.path(c.format, true) == Path::bf16_dot ? with_rounded_inputs(c) : c;
  std::vector<float> first(size_t(c.tokens * stride));  // the results for each token, of the first product with it
  int64_t known = 0;
  const bool floats = tier.reads_floats(c.format);
  for (const int64_t tokens : {int64_t(1), int64_t(2), int64_t(3), int64_t(5), int64_t(8), c.tokens}) {
    std::vector<uint8_t> input(k.input_bytes(tokens, c.columns, floats) + 128);
    for (int64_t t = 0; t < tokens; ++t)
      k.load_input(c.x.data(), c.columns, tokens, c.columns, Rounding::own, floats, align(input), t, t + 1);
    for (const bool prefill : {false, true}) {
      std::vector<float> y(size_t(tokens * stride), -7.0f);
      const int64_t middle = panels / 2;  // as two threads would share them
      for (auto [begin, end] : {std::pair{int64_t(0), middle}, std::pair{middle, panels}}) {
        (prefill ? k.prefill : k.decode)(w, align(input), tokens, y.data(), stride, begin, end, align(scratch));
      }
      compare(tier, expected, tokens, prefill, y, stride, worst);
      if (std::memcmp(y.data(), first.data(), size_t(std::min(known, tokens) * stride) * sizeof(float))) {
        worst.ratio = HUGE_VAL;
        worst.cell = std::string(tier.name) + " " + c.name + ": the results depend on the path or the other tokens";
      }
      if (tokens > known) first = y, known = tokens;
    }
  }
}

// The memory measurement reads every byte: a bit set anywhere changes its result. Each format's path agrees with the
// other tables.
bool check_limits(const Tier& tier) {
  std::vector<uint8_t> data(2 * 4096 + 128);  // a prefetch may point past it
  uint8_t* at = align(data);
  for (size_t i = 0; i < 4096; ++i) {
    at[i] = 1;
    for (const auto read : tier.limits.read) {
      if (read(at, 4096) != uint64_t{1} << 8 * (i % 8))
        return std::printf("FAILED %s: byte %zu is not read\n", tier.name, i), false;
    }
    at[i] = 0;
  }
  if (tier.limits.integer_dots(3) != 3 * tier.limits.integer_dots(1) ||
      tier.limits.float32_dots(3) != 3 * tier.limits.float32_dots(1) ||
      tier.limits.bf16_dots(3) != 3 * tier.limits.bf16_dots(1))
    return std::printf("FAILED %s: the operations of three rounds are not three times those of one\n", tier.name),
           false;
  for (const FormatInfo& info : formats()) {
    const Weight w = {info.id, 64, 256, nullptr, nullptr};
    const bool pairs = info.id == FormatId::bf16 && tier.name == std::string("avx512_bf16");
    const Path expected = info.integer                  ? Path::integer_dot
                          : pairs                       ? Path::bf16_dot
                          : tier.matmul.packed_bytes(w) ? Path::floats
                                                        : Path::converted;
    for (const bool prefill : {false, true}) {
      if (tier.path(w.format, prefill) != expected)
        return std::printf("FAILED %s: format %d does not take the path that is reported\n", tier.name, int(w.format)),
               false;
    }
  }
  return true;
}

// Every tier dequantizes rows to the same bits.
bool check_rows(const Tier& tier, const std::vector<Case>& all) {
  for (const Case& c : all) {
    std::vector<float> want(size_t(c.rows * c.columns)), got(want.size());
    tested_tiers().front()->dequantize(c.format, c.file.data(), c.rows * c.columns, want.data());
    tier.dequantize(c.format, c.file.data(), c.rows * c.columns, got.data());
    if (std::memcmp(want.data(), got.data(), want.size() * sizeof(float)))
      return std::printf("FAILED %s: %s is dequantized to different bits\n", tier.name, c.name.c_str()), false;
  }
  return true;
}

}  // namespace

int main() {
  fill_codebooks();
  const std::vector<Case> all = cases();
  bool failed = false;
  for (const Tier* tier : tested_tiers()) {
    Worst worst;
    for (const Case& c : all) run(*tier, c, worst);
    if (!check_limits(*tier) || !check_rows(*tier, all)) failed = true;
    std::printf("%s: %lld sums, %lld of them exact, worst error %.3g of its bound\n", tier->name,
                (long long)worst.cells, (long long)worst.exact, worst.ratio);
    if (3 * worst.exact < worst.cells)
      std::printf("FAILED %s: too few sums are exact to compare integers\n", tier->name), failed = true;
    if (worst.ratio > 1) {
      std::printf("FAILED %s\n", worst.cell.c_str());
      failed = true;
    }
  }
  return failed;
}
