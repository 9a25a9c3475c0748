#include "../simd/avx2.h"

#define BITWRIGHT_TIER avx2
#include "../kernels/tier.inl"
