// The parts of the Python module, each defined in a bind_*.cpp.
#pragma once
#include <nanobind/nanobind.h>

namespace bitwright {
void bind_limits(nanobind::module_&);
void bind_matmul(nanobind::module_&);
void bind_program(nanobind::module_&);
void bind_quantize(nanobind::module_&);
}  // namespace bitwright
