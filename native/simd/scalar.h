// The op-set without intrinsics: the reference the other tiers are compared with, and what runs where none of them can.
//
// Every op-set provides the same names. A vector covers `kLanes` rows: Floats and Ints have one lane a row, Bytes has four
// consecutive columns of each row. Codes are unsigned bytes, except with `Full`, where they span all of int8 and are stored
// with kFullOffset added. A Partial sums dot products of four columns; `run` says how many it holds before `flush`
// must move them to Ints, and kDirect that Partial and Ints are the same thing, kMatrix that there is a product of two rows by two tokens (neon.h).
#pragma once
#include "../fp.h"

namespace bitwright {
namespace {

struct Ops {
  static constexpr int kLanes = 4, kVector = 4 * kLanes, kRowVectors = 1, kTokens = 2, kFullOffset = 0;
  static constexpr bool kDirect = true, kMatrix = false;
  struct Bytes { uint8_t v[kVector]; };
  struct Ints { int32_t v[kLanes]; };
  struct Floats { float v[kLanes]; };
  using Partial = Ints;

  template <class R, class Fn> static R map(Fn f) {
    R r;
    for (int i = 0; i < int(sizeof(r.v) / sizeof(r.v[0])); ++i) r.v[i] = f(i);
    return r;
  }

  static Bytes load(const uint8_t* p) {
    return map<Bytes>([&](int i) { return p[i]; });
  }
  static void store(uint8_t* p, Bytes a) { __builtin_memcpy(p, a.v, kVector); }
  static Bytes splat(uint8_t b) {
    return map<Bytes>([&](int) { return b; });
  }
  static Bytes table(const uint8_t* sixteen) {
    return map<Bytes>([&](int i) { return sixteen[i % 16]; });
  }
  static Bytes look_up(Bytes table, Bytes index) {
    return map<Bytes>([&](int i) { return table.v[index.v[i]]; });
  }
  static Bytes and_(Bytes a, Bytes b) {
    return map<Bytes>([&](int i) { return uint8_t(a.v[i] & b.v[i]); });
  }
  static Bytes or_(Bytes a, Bytes b) {
    return map<Bytes>([&](int i) { return uint8_t(a.v[i] | b.v[i]); });
  }
  template <int kLeft> static Bytes shift(
      Bytes a) {  // to the left; bits may cross into neighbouring bytes, so mask them
    return map<Bytes>([&](int i) { return uint8_t(kLeft >= 0 ? a.v[i] << (kLeft & 7) : a.v[i] >> (-kLeft & 7)); });
  }

  static constexpr int run(int, bool) { return 8; }
  // Not inlined: unrolled into every kernel it would take the compiler minutes.
  template <bool kFull> __attribute__((noinline)) static Partial step(Partial p, Bytes w, const int8_t* x) {
    for (int i = 0; i < kLanes; ++i) {
      for (int j = 0; j < 4; ++j) p.v[i] += (kFull ? int8_t(w.v[4 * i + j]) : int(w.v[4 * i + j])) * x[j];
    }
    return p;
  }
  static Ints flush(Ints, Partial p) { return p; }
  static Ints splat(int32_t a) {
    return map<Ints>([&](int) { return a; });
  }
  static Floats to_float(Ints a) {
    return map<Floats>([&](int i) { return float(a.v[i]); });
  }

  static Floats splat(float a) {
    return map<Floats>([&](int) { return a; });
  }
  static Floats load(const float* p) {
    return map<Floats>([&](int i) { return p[i]; });
  }
  static void store(float* p, Floats a) { __builtin_memcpy(p, a.v, sizeof(a.v)); }
  static Floats add(Floats a, Floats b) {
    return map<Floats>([&](int i) { return a.v[i] + b.v[i]; });
  }
  static Floats mul(Floats a, Floats b) {
    return map<Floats>([&](int i) { return a.v[i] * b.v[i]; });
  }
  static Floats fma(Floats a, Floats b, Floats c) {
    return map<Floats>([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
  }
  static Floats load_half(const uint8_t* p) {
    return map<Floats>([&](int i) { return half_to_float(half_t(p[2 * i] | p[2 * i + 1] << 8)); });
  }
  static Floats load_bf16(const uint8_t* p) {
    return map<Floats>([&](int i) { return bf16_to_float(bf16_t(p[2 * i] | p[2 * i + 1] << 8)); });
  }
  static Floats load_signed(const uint8_t* p) {
    return map<Floats>([&](int i) { return float(int8_t(p[i])); });
  }
  static Floats load_low(const uint8_t* p) {
    return map<Floats>([&](int i) { return float(p[i] & 15); });
  }
  static Floats load_high(const uint8_t* p) {
    return map<Floats>([&](int i) { return float(p[i] >> 4); });
  }
  static Floats load_exponent(const uint8_t* p) {  // 2^(e - 127); 0 for e = 0
    return map<Floats>([&](int i) { return float_from_bits(uint32_t(p[i]) << 23); });
  }
  static Floats load_ue4m3(const uint8_t* p) {  // times 2^-8
    return map<Floats>([&](int i) { return half_to_float(half_t(p[i] << 7)); });
  }
};

}  // namespace
}  // namespace bitwright
