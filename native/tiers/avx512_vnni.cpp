#include "../simd/avx512.h"

#define BITWRIGHT_TIER avx512_vnni
#include "../kernels/tier.inl"
