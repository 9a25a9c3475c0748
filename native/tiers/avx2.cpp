#include "../simd/avx2.h"

#include "../dequantize.h"
#include "../tier.h"
#include "../unpack.h"

namespace bitwright {
namespace {
#include "../kernels/matmul.inl"
constexpr VectorKernels vector_kernels = {};
}  // namespace

extern const Tier tier_avx2;
const Tier tier_avx2 = {"avx2", matmul_kernels, vector_kernels};

}  // namespace bitwright
