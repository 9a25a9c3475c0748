#include "../simd/scalar.h"

#include "../dequantize.h"
#include "../tier.h"
#include "../unpack.h"

namespace bitwright {
namespace {
#include "../kernels/matmul.inl"
constexpr VectorKernels vector_kernels = {};
}  // namespace

extern const Tier tier_scalar;
const Tier tier_scalar = {"scalar", matmul_kernels, vector_kernels};

}  // namespace bitwright
