// Measures the highest rates of this machine with a tier's instructions: the limits that speeds are compared with.
// All threads work without a pause and note when they finish each small item. The rate comes from the best stretch of
// about a millisecond, because on a shared machine some milliseconds are undisturbed but no whole second is.
#pragma once
#include <functional>
#include <memory>

#include "region.h"
#include "pool.h"
#include "tier.h"

namespace bitwright {

class Meter {
 public:
  Meter(const Tier& tier, std::shared_ptr<Pool> pool);

  // Rates of all threads together, measured for `seconds`.
  double read(double seconds);          // bytes per second from memory
  double integer_dots(double seconds);  // operations per second: a multiplication and an addition are two
  double float32_dots(double seconds);
  double bf16_dots(double seconds);
  // Weights per second in products with one token, when every thread has a copy of `weight` in its cache, or when all
  // read copies one after another from memory. `weight` should fill part of the L2 cache.
  double decode(const Weight& weight, bool from_memory, double seconds);

 private:
  // Items per second of f(item, thread). `share`: the threads share a resource, so only what they do at the same time
  // counts. Otherwise each is timed alone, and a delay of the others does not matter.
  double rate(double seconds, bool share, const std::function<void(int64_t, int)>& f) const;
  double arithmetic(double seconds, int64_t (*dots)(int64_t)) const;

  const Tier& tier_;
  std::shared_ptr<Pool> pool_;
  Region data_;
};

}  // namespace bitwright
