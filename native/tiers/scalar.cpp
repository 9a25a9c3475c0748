#include "../simd/scalar.h"

#ifdef __aarch64__
#include <arm_neon.h>   // part of every aarch64; the vector kernels use it
#endif

#include "../attention.h"
#include "../dequantize.h"
#include "../tier.h"
#include "../unpack.h"

namespace bitwright {
namespace {
namespace products {
#include "../kernels/matmul.inl"
}
namespace vectors {
#include "../kernels/vector.inl"
}
}  // namespace

extern const Tier tier_scalar;
const Tier tier_scalar = {"scalar", products::matmul_kernels, vectors::vector_kernels};

}  // namespace bitwright
