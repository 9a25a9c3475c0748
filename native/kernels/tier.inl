// One CPU tier: every kernel over the op-set `Ops`, in a namespace of its own, and the tables that tier.h describes. A tier's file
// includes its op-set, names itself in BITWRIGHT_TIER, and includes this.
#include "../attention.h"
#include "../dequantize.h"
#include "../tier.h"
#include "../unpack.h"

namespace bitwright {
namespace {
namespace products {
#include "matmul.inl"
#include "paths.inl"
}  // namespace products
namespace vectors {
#include "vector.inl"
}
namespace ceilings {
#include "limits.inl"
}
}  // namespace

#define BITWRIGHT_JOIN(a, b) a##b
#define BITWRIGHT_VARIABLE(name) BITWRIGHT_JOIN(tier_, name)
#define BITWRIGHT_TEXT(name) #name
#define BITWRIGHT_NAME(name) BITWRIGHT_TEXT(name)

extern const Tier BITWRIGHT_VARIABLE(BITWRIGHT_TIER);
const Tier BITWRIGHT_VARIABLE(BITWRIGHT_TIER) = {BITWRIGHT_NAME(BITWRIGHT_TIER), products::matmul_kernels,
                                                 vectors::vector_kernels, products::path, ceilings::limit_kernels};

}  // namespace bitwright
