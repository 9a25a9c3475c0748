// Weight banks, programs, sequence memories and executors for Python. Arguments are checked here and where they are used;
// sizes are bounded before any arithmetic.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include "bind.h"
#include "checked.h"
#include "format_info.h"
#include "executor.h"
#include "matrix.h"
#include "program_names.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace bitwright {
namespace {

using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Room = nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Ids = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Vector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using FloatResult = nb::ndarray<nb::numpy, float, nb::ndim<2>>;
using ByteResult = nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>>;

// A new array (rows, columns) that Python owns.
FloatResult new_floats(size_t rows, size_t columns) {
  float* data = new float[rows * columns];
  return {data, {rows, columns}, nb::capsule(data, [](void* x) noexcept { delete[] static_cast<float*>(x); })};
}

// format, rows, columns, bytes as stored, and whether it is multiplied by or only looked up in
using Stored = std::tuple<int, int64_t, int64_t, Bytes, bool>;

std::vector<WeightBank::Request> requests_of(const std::vector<Stored>& wanted) {
  std::vector<WeightBank::Request> requests;
  for (const auto& [format, rows, columns, data, multiplied] : wanted) {
    const FormatId id = static_cast<FormatId>(format);
    check_weight(id, rows, columns, data.size());
    requests.push_back({id, rows, columns, data.data(), std::make_shared<Bytes>(data), multiplied});
  }
  return requests;
}

size_t packed_bytes(const WeightBank& bank, const std::vector<Stored>& wanted) {
  return bank.packed_bytes(requests_of(wanted));
}

// room: memory for packed weights. held: such memory that they are in already, which may be read-only.
std::vector<std::shared_ptr<Matrix>> matrices(WeightBank& bank, const std::vector<Stored>& wanted,
                                              const std::optional<Room>& room, const std::optional<Bytes>& held) {
  const auto requests = requests_of(wanted);
  std::shared_ptr<const Slab> slab;
  if (held) {
    auto* data = const_cast<uint8_t*>(held->data());  // a packed slab is never written to
    slab = std::make_shared<const Slab>(data, held->size(), std::make_shared<Bytes>(*held));
  } else if (room) {
    slab = std::make_shared<const Slab>(room->data(), room->size(), std::make_shared<Room>(*room));
  }
  std::vector<std::shared_ptr<Matrix>> found;  // nanobind does not support pointers to const
  nb::gil_scoped_release released;
  for (const MatrixRef& matrix : bank.get(requests, std::move(slab), held.has_value()))
    found.push_back(std::const_pointer_cast<Matrix>(matrix));
  return found;
}

FloatResult multiply(const Matrix& m, const Floats& x, bool prefill, int rounding, int threads) {
  const auto tokens = static_cast<int64_t>(x.shape(0)), columns = static_cast<int64_t>(x.shape(1));
  if (columns != m.weight().columns)
    throw std::invalid_argument("expected inputs of " + std::to_string(m.weight().columns) + " columns, got " +
                                std::to_string(columns));
  FloatResult y = new_floats(x.shape(0), static_cast<size_t>(m.weight().rows));
  nb::gil_scoped_release released;
  m.multiply(*pool_of(threads), x.data(), tokens, prefill, static_cast<Rounding>(rounding), y.data());
  return y;
}

using Shape = std::tuple<int64_t, int64_t, int64_t, int64_t>;  // kv_heads, head_dim, window, latent

std::vector<LayerShape> shapes_of(const std::vector<Shape>& layers) {
  std::vector<LayerShape> shapes;
  for (const auto& [kv_heads, head_dim, window, latent] : layers)
    shapes.push_back({kv_heads, head_dim, window, latent});
  return shapes;
}

void add_instruction(Program& p, const std::string& code, int out, int a, int b, int c, int input, int weight,
                     int index, int groups, int heads, int64_t head_dim, int64_t length, float value, float softcap) {
  p.add({named(kCodes, code), out, a, b, c, input, weight, index, groups, heads, head_dim, length, value, softcap});
}

FloatResult run(Executor& e, SequenceMemory& memory, const Ids& tokens, const Ids& positions, const Ids& sequences,
                const Ids& outputs, const std::optional<Floats>& hidden) {
  const Program& p = e.program();
  if (positions.size() != tokens.size() || sequences.size() != tokens.size())
    throw std::invalid_argument("tokens, positions and sequences must be equally long, got " +
                                std::to_string(tokens.size()) + ", " + std::to_string(positions.size()) + ", " +
                                std::to_string(sequences.size()));
  const auto width = static_cast<size_t>(p.hidden_width());
  if (hidden.has_value() != (width > 0) || (hidden && (hidden->shape(0) != tokens.size() || hidden->shape(1) != width)))
    throw std::invalid_argument(width ? "this program begins with a hidden state of " + std::to_string(tokens.size()) +
                                            " rows and " + std::to_string(width) + " columns"
                                      : "this program begins with tokens and takes no hidden state");
  FloatResult result =
      new_floats(p.result_selected() ? outputs.size() : tokens.size(), static_cast<size_t>(p.result_width()));
  nb::gil_scoped_release released;
  e.run(memory, {tokens.data(), positions.data(), sequences.data(), outputs.data(), static_cast<int64_t>(tokens.size()),
                 static_cast<int64_t>(outputs.size()), hidden ? hidden->data() : nullptr, result.data()});
  return result;
}

ByteResult save(const SequenceMemory& m, int64_t slot) {
  auto* saved = new std::vector<uint8_t>(m.save(slot));
  return {saved->data(), {saved->size()}, nb::capsule(saved, [](void* x) noexcept {
            delete static_cast<std::vector<uint8_t>*>(x);
          })};
}

std::vector<int64_t> earliest(const SequenceMemory& m) {
  std::vector<int64_t> lowest;
  for (int64_t slot = 0; slot < m.limits().sequences; ++slot) lowest.push_back(m.earliest(slot));
  return lowest;
}

}  // namespace

void bind_program(nb::module_& m) {
  const auto released = nb::call_guard<nb::gil_scoped_release>();
  nb::class_<Matrix>(m, "Matrix")
      .def("multiply", multiply, "x"_a, "prefill"_a, "rounding"_a = 0, "threads"_a = 0)
      .def_prop_ro("bytes", &Matrix::bytes)
      .def_prop_ro("packed_bytes", &Matrix::packed_bytes);
  nb::class_<WeightBank>(m, "WeightBank")
      .def(
          "__init__",
          [](WeightBank* at, const std::string& tier, int threads) {
            new (at) WeightBank(tier_of(tier), pool_of(threads));
          },
          "tier"_a, "threads"_a)
      .def("matrices", matrices, "wanted"_a, "room"_a = nb::none(), "held"_a = nb::none())
      .def("packed_bytes", packed_bytes, "wanted"_a)
      .def("__len__", &WeightBank::count)
      .def_prop_ro("bytes", &WeightBank::bytes)
      .def_prop_ro("tier", [](const WeightBank& b) { return b.tier().name; });
  nb::class_<Program>(m, "Program")
      .def(
          "__init__",
          [](Program* at, const std::string& tier, const std::vector<Shape>& layers, std::vector<int64_t> states) {
            new (at) Program(tier_of(tier), shapes_of(layers), std::move(states));
          },
          "tier"_a, "layers"_a, "states"_a)
      .def(
          "matrix", [](Program& p, std::shared_ptr<Matrix> matrix) { return p.matrix(std::move(matrix)); }, "matrix"_a)
      .def(
          "vector", [](Program& p, const Vector& v) { return p.vector({v.data(), v.data() + v.size()}); }, "values"_a)
      .def("angles", &Program::angles, "inverse_frequencies"_a, "magnitude"_a, "interleaved"_a)
      .def("buffer", &Program::buffer, "width"_a)
      .def("input", &Program::input, "columns"_a, "slots"_a)
      .def("squares", &Program::squares, "columns"_a, "matrices"_a)
      .def("groups", &Program::groups, "experts"_a, "used"_a)
      .def("phase", [](Program& p, const std::string& kind, bool selected) { p.phase(named(kPhases, kind), selected); })
      .def("add", add_instruction, "code"_a, "out"_a = 0, "a"_a = 0, "b"_a = 0, "c"_a = 0, "input"_a = 0,
           "weight"_a = -1, "index"_a = 0, "groups"_a = 0, "heads"_a = 1, "head_dim"_a = 0, "length"_a = 0,
           "value"_a = 0.f, "softcap"_a = 0.f)
      .def("finish", &Program::finish, "result"_a, "selected"_a)
      .def_prop_ro("tier", [](const Program& p) { return p.tier().name; });
  nb::class_<SequenceMemory>(m, "Memory")
      .def(
          "__init__",
          [](SequenceMemory* at, const std::vector<Shape>& layers, const std::vector<int64_t>& states, int64_t batch,
             int64_t context, int64_t sequences, int64_t bytes, int format) {
            new (at) SequenceMemory(shapes_of(layers), states, {batch, context, sequences, bytes},
                                    static_cast<FormatId>(format));
          },
          "layers"_a, "states"_a, "batch"_a, "context"_a, "sequences"_a, "bytes"_a, "format"_a)
      .def_prop_ro("lengths", &SequenceMemory::lengths)
      .def_prop_ro("earliest", earliest)
      .def_prop_ro("bytes", &SequenceMemory::bytes)
      .def_prop_ro("bytes_in_use", &SequenceMemory::bytes_in_use)
      .def("bytes_for", &SequenceMemory::bytes_for, "length"_a)
      .def_prop_ro("layout", &SequenceMemory::layout)
      .def("fork", &SequenceMemory::fork, "source"_a, "target"_a, released)
      .def("drop", &SequenceMemory::drop, "slot"_a, "keep"_a, released)
      .def("evict", &SequenceMemory::evict, "slot"_a, released)
      .def("save", save, "slot"_a)
      .def(
          "restore",
          [](SequenceMemory& memory, int64_t slot, const Bytes& saved) {
            memory.restore(slot, saved.data(), saved.size());
          },
          "slot"_a, "saved"_a)
      .def("adopt", &SequenceMemory::adopt, "memory"_a, "slot"_a, "begin"_a, "end"_a, released);
  nb::class_<Executor>(m, "Executor")
      .def(
          "__init__",
          [](Executor* at, std::shared_ptr<Program> program, int threads, int64_t batch) {
            if (threads < 0) throw std::invalid_argument("threads must be at least 0, got " + std::to_string(threads));
            new (at) Executor(std::move(program), pool_of(threads), batch);
          },
          "program"_a, "threads"_a, "batch"_a)
      .def("run", run, "memory"_a, "tokens"_a, "positions"_a, "sequences"_a, "outputs"_a,
           "hidden"_a.none() = nb::none())
      .def("squares_of",
           [](const Executor& e, int index) { return std::make_pair(e.squares(index).sums, e.squares(index).rows); })
      .def("watch", &Executor::watch)
      .def_prop_ro("nanoseconds", &Executor::nanoseconds)
      .def_prop_ro("threads", &Executor::threads)
      .def_prop_ro("bytes", &Executor::bytes);
}

}  // namespace bitwright
