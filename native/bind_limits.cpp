// How each format is multiplied, and the limits of this machine, for Python. Checks the arguments.
#include <cstring>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include "bind.h"
#include "format_info.h"
#include "meter.h"
#include "platform.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace bitwright {
namespace {

using ByteArray = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

const char* name_of(Path path) {
  switch (path) {
    case Path::integer_dot: return "integer dot";
    case Path::bf16_dot: return "bf16 dot";
    case Path::floats: return "float";
    case Path::converted: return "converted";
  }
  throw std::logic_error("a path without a name");
}

nb::list coverage() {
  nb::list all;
  int tier_count;
  const Tier* const* found = tiers(&tier_count);
  for (const FormatInfo& info : formats()) {
    for (int t = 0; t < tier_count; ++t) {
      const FormatId id = info.id;
      all.append(nb::make_tuple(int(id), found[t]->name, name_of(found[t]->path(id, false)),
                                name_of(found[t]->path(id, true))));
    }
  }
  return all;
}

int64_t bytes_read(int format, int64_t rows, int64_t columns, const std::string& tier_name) {
  const Weight w{FormatId(format), rows, columns, nullptr, nullptr};
  const int64_t stored = weight_bytes(w.format, rows, columns);
  const auto packed = int64_t(tier_of(tier_name).matmul.packed_bytes(w));
  return packed ? packed : stored;
}

double decode(Meter& meter, int format, int64_t rows, int64_t columns, const ByteArray& data, bool from_memory,
              double seconds) {
  const Weight w{FormatId(format), rows, columns, data.data(), nullptr};
  check_weight(w.format, rows, columns, data.size());
  nb::gil_scoped_release released;
  return meter.decode(w, from_memory, seconds);
}

void construct(Meter* at, const std::string& tier_name, int threads) {
  new (at) Meter(tier_of(tier_name), pool_of(threads));
}

std::tuple<int64_t, int64_t, int64_t> skip_strings(const ByteArray& bytes, int64_t at, int64_t count) {
  if (at < 0) throw std::invalid_argument("at must not be negative, got " + std::to_string(at));
  const auto size = static_cast<int64_t>(bytes.size());
  int64_t before = at, found = 0;
  for (uint64_t length = 0; found < count && at <= size - 8; ++found) {
    std::memcpy(&length, bytes.data() + at, 8);
    if (length > static_cast<uint64_t>(size - 8 - at)) break;
    before = std::exchange(at, at + 8 + static_cast<int64_t>(length));
  }
  return {at, before, found};
}

nb::list strings(const nb::bytes& region, int64_t count) {
  const char* at = region.c_str();
  const char* const end = at + region.size();
  nb::list found;
  for (int64_t i = 0; i < count; ++i) {
    uint64_t length = 0;
    if (end - at >= 8) std::memcpy(&length, at, 8);
    if (end - at < 8 || length > uint64_t(end - at - 8))
      throw std::runtime_error("expected " + std::to_string(count) + " strings in " + std::to_string(region.size()) +
                               " bytes, got " + std::to_string(i));
    PyObject* const text = PyUnicode_DecodeUTF8(at + 8, Py_ssize_t(length), "surrogateescape");
    if (!text) throw nb::python_error();
    found.append(nb::steal(text));
    at += 8 + length;
  }
  return found;
}

}  // namespace

void bind_limits(nb::module_& m) {
  using Released = nb::call_guard<nb::gil_scoped_release>;
  m.def("usable_cores", platform::usable_cores, "Cores this process may run on.");
  m.def("coverage", coverage,
        "(format id, tier, path of decode, path of prefill) of every format the core knows and tier this machine can "
        "run.");
  m.def("bytes_read", bytes_read, "Bytes of a weight in the layout the tier reads.", "format"_a, "rows"_a, "columns"_a,
        "tier"_a);
  m.def(
      "guard_mapping", [](const ByteArray& bytes) { return platform::guard_mapping(bytes.data(), bytes.size()); },
      "A number for torn() and forget_mapping(); -1 if the mapping cannot be guarded.", "bytes"_a);
  m.def("skip_strings", skip_strings, "As bitwright.kernels.mapping.skip_strings.", "bytes"_a, "at"_a, "count"_a);
  m.def("strings", strings, "As bitwright.kernels.mapping.strings.", "region"_a, "count"_a);
  m.def("torn", [](int mapping) { return mapping >= 0 && platform::torn(mapping); }, "mapping"_a);
  m.def(
      "forget_mapping",
      [](int mapping) {
        if (mapping >= 0) platform::forget_mapping(mapping);
      },
      "mapping"_a);
  nb::class_<Meter>(m, "Meter")
      .def("__init__", construct, "tier"_a, "threads"_a)
      .def("read", &Meter::read, "seconds"_a, Released())
      .def("integer_dots", &Meter::integer_dots, "seconds"_a, Released())
      .def("float32_dots", &Meter::float32_dots, "seconds"_a, Released())
      .def("bf16_dots", &Meter::bf16_dots, "seconds"_a, Released())
      .def("decode", decode, "format"_a, "rows"_a, "columns"_a, "data"_a, "from_memory"_a, "seconds"_a);
}

}  // namespace bitwright
