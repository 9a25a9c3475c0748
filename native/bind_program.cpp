#include "bind.h"

void bitwright::bind_program(nanobind::module_&) {}
