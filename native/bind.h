// The parts of the one Python module; each is defined in its own bind_*.cpp.
#pragma once
#include <nanobind/nanobind.h>

namespace bitwright {
void bind_limits(nanobind::module_&);
void bind_matmul(nanobind::module_&);
void bind_program(nanobind::module_&);
void bind_quantize(nanobind::module_&);
}  // namespace bitwright
