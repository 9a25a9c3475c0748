#include "../simd/avx2.h"

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

extern const Tier tier_avx2;
const Tier tier_avx2 = {"avx2", products::matmul_kernels, vectors::vector_kernels};

}  // namespace bitwright
