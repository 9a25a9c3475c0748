#include "../simd/neon.h"

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

extern const Tier tier_neon_i8mm;
const Tier tier_neon_i8mm = {"neon_i8mm", products::matmul_kernels, vectors::vector_kernels};

}  // namespace bitwright
