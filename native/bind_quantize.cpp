// Quantization for Python: checks the arguments, releases the GIL, returns a fault as (kind, row, column).
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <tuple>

#include "bind.h"
#include "codebooks.h"
#include "pool.h"
#include "quantize/encode.h"
#include "tier.h"

namespace nb = nanobind;

namespace bitwright {
namespace {

using Values = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Importance = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// The array's type says what the values are; uint16 holds bfloat16 bits.
FormatId source_format(const Values& values) {
  if (values.dtype() == nb::dtype<float>()) return FormatId::f32;
  if (values.dtype() == nb::dtype<uint16_t>()) return FormatId::bf16;
  if (values.dtype().code == static_cast<uint8_t>(nb::dlpack::dtype_code::Float) && values.dtype().bits == 16)
    return FormatId::f16;
  throw std::invalid_argument("quantize: values must be float32, float16, or bfloat16 as uint16");
}

std::tuple<std::string, int64_t, int64_t> quantize(int format, const Values& values,
                                                   const std::optional<Importance>& importance, bool search,
                                                   const Bytes& out, int threads) {
  const EncoderSet& set = *tier().encoders;
  const Encoder* encoder = set.find(static_cast<FormatId>(format));
  if (!encoder) throw std::invalid_argument("quantize: no encoder for format " + std::to_string(format));
  const FormatId source = source_format(values);
  const int64_t rows = values.shape(0), columns = values.shape(1);
  if (columns % encoder->block_size != 0)
    throw std::invalid_argument("quantize: " + std::to_string(columns) + " columns are not a multiple of " +
                                std::to_string(encoder->block_size));
  if (static_cast<int64_t>(out.shape(0)) != rows ||
      static_cast<int64_t>(out.shape(1)) != columns / encoder->block_size * encoder->block_bytes)
    throw std::invalid_argument("quantize: out does not have the shape of the result");
  if (importance && !encoder->weighs(search))
    throw std::invalid_argument("quantize: this method does not use importance in format " + std::to_string(format));
  if (importance && static_cast<int64_t>(importance->shape(0)) != columns)
    throw std::invalid_argument("quantize: expected importance of " + std::to_string(columns) + " columns, got " +
                                std::to_string(importance->shape(0)));
  if (!encoder->rtn && !codebooks.loaded)
    throw std::invalid_argument("quantize: this format needs its codebooks: call kernels.codebooks first");
  if (threads < 0) throw std::invalid_argument("quantize: threads must be at least 0 (0: every core)");
  EncodeFault fault;
  {
    nb::gil_scoped_release release;
    const auto pool = pool_of(threads);
    fault = quantize_rows(set, *encoder, source, values.data(), rows, columns,
                          importance ? importance->data() : nullptr, search, out.data(), *pool);
  }
  static const char* const kinds[] = {"", "not_finite", "overflow"};
  const int64_t width = std::max<int64_t>(columns, 1);
  return {kinds[fault.kind], fault.value / width, fault.value % width};
}

bool factor(const nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>& hessian, int threads) {
  const int64_t columns = hessian.shape(1);
  if (static_cast<int64_t>(hessian.shape(0)) != columns)
    throw std::invalid_argument("factor: the Hessian must be (columns, columns)");
  if (threads < 0) throw std::invalid_argument("factor: threads must be at least 0");
  nb::gil_scoped_release release;
  return tier().encoders->factor(hessian.data(), columns, *pool_of(threads));
}

std::vector<double> feedback(int format, const Matrix& values, const Matrix& hessian, const Matrix& factor, int rounds,
                             const Bytes& out, int threads) {
  const EncoderSet& set = *tier().encoders;
  const Feedback* coder = set.find_feedback(static_cast<FormatId>(format));
  const Encoder* encoder = set.find(static_cast<FormatId>(format));
  if (!coder || !encoder) throw std::invalid_argument("feedback: no encoder for format " + std::to_string(format));
  const int64_t rows = values.shape(0), columns = values.shape(1);
  if (columns == 0 || columns % coder->unit != 0)
    throw std::invalid_argument("feedback: " + std::to_string(columns) + " columns are not a multiple of " +
                                std::to_string(coder->unit));
  for (const Matrix& matrix : {hessian, factor})
    if (static_cast<int64_t>(matrix.shape(0)) != columns || static_cast<int64_t>(matrix.shape(1)) != columns)
      throw std::invalid_argument("feedback: the Hessian and its factor must be (columns, columns)");
  if (static_cast<int64_t>(out.shape(0)) != rows ||
      static_cast<int64_t>(out.shape(1)) != columns / encoder->block_size * encoder->block_bytes)
    throw std::invalid_argument("feedback: out does not have the shape of the result");
  if (threads < 0 || rounds < 0) throw std::invalid_argument("feedback: threads and rounds must be at least 0");
  std::vector<double> objective(rounds + 1);
  {
    nb::gil_scoped_release release;
    const auto pool = pool_of(threads);
    coder->encode({columns, hessian.data(), factor.data(), rounds}, values.data(), rows, out.data(), objective.data(),
                  *pool);
  }
  return objective;
}

nb::list feedback_formats() {  // (format id, columns of a unit)
  nb::list formats;
  const EncoderSet& set = *tier().encoders;
  for (size_t i = 0; i < set.feedback_count; i++)
    formats.append(nb::make_tuple(static_cast<int>(set.feedback[i].format), set.feedback[i].unit));
  return formats;
}

nb::list encoder_formats() {  // (format id, block size, block bytes, whether method rtn takes importance, and search)
  nb::list formats;
  const EncoderSet& set = *tier().encoders;
  for (size_t i = 0; i < set.count; i++) {
    const Encoder& e = set.encoders[i];
    formats.append(
        nb::make_tuple(static_cast<int>(e.format), e.block_size, e.block_bytes, e.weighs(false), e.weighs(true)));
  }
  return formats;
}

}  // namespace

void bind_quantize(nb::module_& m) {
  m.def("quantize", &quantize, nb::arg("format"), nb::arg("values"), nb::arg("importance").none(), nb::arg("search"),
        nb::arg("out"), nb::arg("threads"));
  m.def("factor", &factor, nb::arg("hessian"), nb::arg("threads"));
  m.def("feedback", &feedback, nb::arg("format"), nb::arg("values"), nb::arg("hessian"), nb::arg("factor"),
        nb::arg("rounds"), nb::arg("out"), nb::arg("threads"));
  m.def("feedback_formats", &feedback_formats);
  m.def("encoder_formats", &encoder_formats);
}

}  // namespace bitwright
