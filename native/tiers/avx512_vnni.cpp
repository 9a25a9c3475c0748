#include "../simd/avx512.h"

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

extern const Tier tier_avx512_vnni;
const Tier tier_avx512_vnni = {"avx512_vnni", products::matmul_kernels, vectors::vector_kernels};

}  // namespace bitwright
