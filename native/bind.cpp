#include "bind.h"

#include <exception>
#include <stdexcept>

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

NB_MODULE(_core, m) {
  nb::register_exception_translator(translate);
  bitwright::bind_limits(m);
  bitwright::bind_matmul(m);
  bitwright::bind_program(m);
  bitwright::bind_quantize(m);
}
