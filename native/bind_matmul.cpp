// Tiers, codebooks and dequantization for Python. Checks the arguments; the kernels trust them.
#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include "bind.h"
#include "codebooks.h"
#include "format_info.h"
#include "pool.h"
#include "tier.h"

namespace nb = nanobind;

namespace bitwright {
namespace {

using ByteArray = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using FloatResult = nb::ndarray<nb::numpy, float>;

// A new array that Python owns.
FloatResult new_floats(std::initializer_list<size_t> shape) {
  size_t count = 1;
  for (size_t n : shape) count *= n;
  auto* data = new float[count];
  return FloatResult(data, shape, nb::capsule(data, [](void* p) noexcept { delete[] static_cast<float*>(p); }));
}

FloatResult dequantize_array(int format, int64_t rows, int64_t columns, const ByteArray& data, int threads) {
  const auto id = FormatId(format);
  check_weight(id, rows, columns, data.size());
  FloatResult out = new_floats({size_t(rows), size_t(columns)});
  float* y = out.data();
  const uint8_t* bytes = data.data();
  const int64_t stride = row_bytes(id, columns);
  const auto decode = tier().dequantize;
  nb::gil_scoped_release release;
  const auto pool = pool_of(threads);
  pool->parallel_for(rows, std::max<int64_t>(1, 16384 / columns), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) decode(id, bytes + r * stride, columns, y + r * columns);
  });
  return out;
}

template <class T, size_t n> void copy_table(T (&to)[n], nb::dict tables, const char* name) {
  const auto from = nb::cast<ByteArray>(tables[name]);
  if (from.size() != sizeof(to))
    throw std::invalid_argument("expected " + std::to_string(sizeof(to)) + " bytes of codebook " + name + ", got " +
                                std::to_string(from.size()));
  std::memcpy(&to, from.data(), sizeof(to));
}

void set_codebooks(nb::dict tables) {
  copy_table(codebooks.iq4_nl, tables, "iq4_nl");
  copy_table(codebooks.iq2_xxs, tables, "iq2_xxs");
  copy_table(codebooks.iq2_xs, tables, "iq2_xs");
  copy_table(codebooks.iq2_s, tables, "iq2_s");
  copy_table(codebooks.iq3_xxs, tables, "iq3_xxs");
  copy_table(codebooks.iq3_s, tables, "iq3_s");
  copy_table(codebooks.iq1, tables, "iq1");
  copy_table(codebooks.iq2_levels, tables, "iq2_levels");
  copy_table(codebooks.iq3_xxs_levels, tables, "iq3_xxs_levels");
  copy_table(codebooks.iq3_s_levels, tables, "iq3_s_levels");
  codebooks.loaded = true;
}

nb::list tier_names() {
  nb::list names;
  int count;
  const Tier* const* all = tiers(&count);
  for (int i = 0; i < count; ++i) names.append(all[i]->name);
  return names;
}

}  // namespace

void bind_matmul(nb::module_& m) {
  m.def("tiers", tier_names, "Names of the tiers this machine can run, slowest first.");
  m.def("tier", [] { return tier().name; }, "The tier in use.");
  m.def("set_codebooks", set_codebooks, nb::arg("tables"));
  m.def("dequantize", dequantize_array, nb::arg("format"), nb::arg("rows"), nb::arg("columns"), nb::arg("data"),
        nb::arg("threads"));
}

}  // namespace bitwright
