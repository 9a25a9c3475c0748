// How each format is multiplied, and the limits of this machine, for Python. Checks the arguments.
#include <stdexcept>
#include <string>

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

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
