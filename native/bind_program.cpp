#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <unordered_map>

#include "bind.h"
#include "dequantize.h"
#include "program.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace bitwright {
namespace {

using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Ids = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Logits = nb::ndarray<nb::numpy, float, nb::ndim<2>>;

const std::unordered_map<std::string, Code> kCodes = {
    {"embed", Code::embed},
    {"angles", Code::angles},
    {"rms_norm", Code::rms_norm},
    {"load", Code::load},
    {"bias", Code::bias},
    {"rope", Code::rope},
    {"store", Code::store},
    {"glu_silu", Code::glu_silu},
    {"glu_gelu_tanh", Code::glu_gelu},
    {"add", Code::add},
    {"scale", Code::scale},
    {"softcap", Code::softcap},
    {"select", Code::select},
    {"copy", Code::copy},
    {"linear", Code::linear},
    {"attention", Code::attention},
    {"observe", Code::observe},
};
const std::unordered_map<std::string, PhaseKind> kPhases = {{"rows", PhaseKind::rows},
                                                            {"linears", PhaseKind::linears},
                                                            {"attention", PhaseKind::attention},
                                                            {"observe", PhaseKind::observe}};

template <typename T>
T named(const std::unordered_map<std::string, T>& names, const std::string& name) {
  const auto found = names.find(name);
  if (found == names.end()) throw std::invalid_argument("the executor has no " + name);
  return found->second;
}

void construct(Program* at, const std::string& tier_name, int threads, int64_t batch, int64_t context,
               int64_t sequences, int cache) {
  if (threads < 0 || batch < 1 || context < 1 || sequences < 1)
    throw std::invalid_argument("threads may not be negative; batch, context and sequences must be at least 1");
  new (at) Program(tier_name.empty() ? tier() : tier_named(tier_name.c_str()), shared_pool(threads),
                   {batch, context, sequences}, static_cast<FormatId>(cache));
}

int add_matrix(Program& p, int format, int64_t rows, int64_t columns, const Bytes& data) {
  const FormatId id = static_cast<FormatId>(format);
  check_ready(id);  // now, so that no step can fail half-way
  const size_t expected = static_cast<size_t>(rows * row_bytes(id, columns));
  if (rows < 1 || columns < 1 || data.size() != expected)
    throw std::invalid_argument("a weight of " + std::to_string(rows) + " rows and " + std::to_string(columns) +
                                " columns has " + std::to_string(expected) + " bytes, got " +
                                std::to_string(data.size()));
  return p.matrix(id, rows, columns, data.data());
}

void add_instruction(Program& p, const std::string& code, int out, int a, int b, int input, int weight, int index,
                     int heads, int64_t head_dim, int64_t window, float value, float softcap) {
  p.add({named(kCodes, code), out, a, b, input, weight, index, heads, head_dim, window, value, softcap});
}

Logits run(Program& p, const Ids& tokens, const Ids& positions, const Ids& sequences, const Ids& outputs) {
  if (positions.size() != tokens.size() || sequences.size() != tokens.size())
    throw std::invalid_argument("tokens, positions and sequences must be equally long, got " +
                                std::to_string(tokens.size()) + ", " + std::to_string(positions.size()) + ", " +
                                std::to_string(sequences.size()));
  const size_t rows = outputs.size(), width = static_cast<size_t>(p.result_width());
  float* logits = new float[rows * width];
  nb::capsule owner(logits, [](void* x) noexcept { delete[] static_cast<float*>(x); });
  {
    nb::gil_scoped_release released;
    p.run(tokens.data(), positions.data(), sequences.data(), static_cast<int64_t>(tokens.size()), outputs.data(),
          static_cast<int64_t>(rows), logits);
  }
  return Logits(logits, {rows, width}, owner);
}

}  // namespace

void bind_program(nb::module_& m) {
  nb::class_<Program>(m, "Program")
      .def("__init__", construct, "tier"_a, "threads"_a, "batch"_a, "context"_a, "sequences"_a, "cache"_a)
      .def("matrix", add_matrix, "format"_a, "rows"_a, "columns"_a, "data"_a, nb::keep_alive<1, 5>())
      .def("vector", &Program::vector, "values"_a)
      .def("angles", &Program::angles, "inverse_frequencies"_a, "magnitude"_a, "interleaved"_a)
      .def("layer", &Program::layer, "kv_heads"_a, "head_dim"_a, "window"_a)
      .def("buffer", &Program::buffer, "width"_a)
      .def("input", &Program::input, "columns"_a)
      .def("squares", &Program::squares, "columns"_a)
      .def("squares_of", [](const Program& p,
                            int index) { return std::make_pair(p.squares_of(index).sums, p.squares_of(index).rows); })
      .def("phase", [](Program& p, const std::string& kind, bool selected) { p.phase(named(kPhases, kind), selected); })
      .def("add", add_instruction, "code"_a, "out"_a = 0, "a"_a = 0, "b"_a = 0, "input"_a = 0, "weight"_a = 0,
           "index"_a = 0, "heads"_a = 1, "head_dim"_a = 0, "window"_a = 0, "value"_a = 0.f, "softcap"_a = 0.f)
      .def("finish", &Program::finish, "result"_a, nb::call_guard<nb::gil_scoped_release>())
      .def("run", run, "tokens"_a, "positions"_a, "sequences"_a, "outputs"_a)
      .def("adopt", &Program::adopt, "program"_a, "slot"_a, "begin"_a, "end"_a,
           nb::call_guard<nb::gil_scoped_release>())
      .def_prop_ro("tier", [](const Program& p) { return p.tier().name; })
      .def_prop_ro("threads", &Program::threads)
      .def_prop_ro("lengths", &Program::lengths)
      .def_prop_ro("earliest",
                   [](const Program& p) {
                     std::vector<int64_t> lowest;
                     for (int64_t slot = 0; slot < p.limits().sequences; ++slot) lowest.push_back(p.earliest(slot));
                     return lowest;
                   })
      .def("watch", &Program::watch)
      .def_prop_ro("nanoseconds", &Program::nanoseconds)
      .def_prop_ro("cache_bytes", &Program::cache_bytes)
      .def_prop_ro("packed_bytes", &Program::packed_bytes)
      .def_prop_ro("buffer_bytes", &Program::buffer_bytes);
}

}  // namespace bitwright
