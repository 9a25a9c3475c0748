// The parts of the Python module, each defined in a bind_*.cpp.
#pragma once
#include <nanobind/nanobind.h>

#include <memory>
#include <string>

#include "blocks.h"
#include "pool.h"
#include "tier.h"

namespace bitwright {
void bind_limits(nanobind::module_&);
void bind_matmul(nanobind::module_&);
void bind_program(nanobind::module_&);
void bind_quantize(nanobind::module_&);
void bind_strings(nanobind::module_&);

const Tier& tier_of(const std::string& name);  // "": the fastest; throws std::invalid_argument when it cannot run here

std::shared_ptr<Pool> pool_of(int threads);  // shared_pool, with a warning in Python if it has fewer threads

// Bytes of a weight (rows, columns) as stored. Throws std::invalid_argument for a size that no weight has.
int64_t weight_bytes(FormatId format, int64_t rows, int64_t columns);

// Throws std::invalid_argument unless a weight (rows, columns) of a format takes exactly `bytes`, or where the format needs
// codebooks that nobody has set.
void check_weight(FormatId format, int64_t rows, int64_t columns, size_t bytes);
}  // namespace bitwright
