#include "bind.h"

void bitwright::bind_quantize(nanobind::module_&) {}
