#include "bind.h"

#include <exception>
#include <stdexcept>
#include <string>

#include "checked.h"
#include "format_info.h"

namespace nb = nanobind;

namespace {

// std::invalid_argument is the caller's mistake; std::runtime_error (and what derives from it) is any other failure.
void translate(const std::exception_ptr& error, void*) {
  const auto raise = [](const char* type, const std::exception& e) {
    PyErr_SetString(nb::module_::import_("bitwright.errors").attr(type).ptr(), e.what());
  };
  try {
    std::rethrow_exception(error);
  } catch (const std::invalid_argument& e) { raise("UsageError", e); } catch (const std::runtime_error& e) {
    raise("BitwrightError", e);
  }
}

}  // namespace

namespace bitwright {

const Tier& tier_of(const std::string& name) { return name.empty() ? tier() : tier_named(name.c_str()); }

std::shared_ptr<Pool> pool_of(int threads) {
  auto pool = shared_pool(threads);
  if (pool->threads() < threads) {
    const nb::gil_scoped_acquire held;
    nb::module_::import_("bitwright.kernels._native").attr("warn_of_fewer_threads")(threads, pool->threads());
  }
  return pool;
}

int64_t weight_bytes(FormatId format, int64_t rows, int64_t columns) {
  check_size("rows of a weight", rows, 1, kMostWidth);
  check_size("columns of a weight", columns, 1, kMostWidth);
  return product(rows, row_bytes(format, columns));
}

void check_weight(FormatId format, int64_t rows, int64_t columns, size_t bytes) {
  check_ready(format);  // now, so that no step can fail half-way
  const int64_t expected = weight_bytes(format, rows, columns);
  if (static_cast<int64_t>(bytes) != expected)
    throw std::invalid_argument("expected " + std::to_string(expected) + " bytes for a weight of " +
                                std::to_string(rows) + " rows and " + std::to_string(columns) + " columns, got " +
                                std::to_string(bytes));
}

}  // namespace bitwright

NB_MODULE(_core, m) {
  nb::register_exception_translator(translate);
  bitwright::bind_limits(m);
  bitwright::bind_matmul(m);
  bitwright::bind_program(m);
  bitwright::bind_quantize(m);
  bitwright::bind_strings(m);
}
