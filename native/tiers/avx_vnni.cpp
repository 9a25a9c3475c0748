#define BITWRIGHT_AVX_VNNI
#include "../simd/avx2.h"

#define BITWRIGHT_TIER avx_vnni
#include "../kernels/tier.inl"
