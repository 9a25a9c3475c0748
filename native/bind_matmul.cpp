#include "bind.h"

void bitwright::bind_matmul(nanobind::module_&) {}
