// One CPU tier: every kernel over its op-set, and the tables that tier.h describes. A tier's file includes its op-set,
// defines its name in BITWRIGHT_TIER, and includes this.
#include "../attention.h"
#include "../format_info.h"
#include "../platform.h"
#include "../recurrence.h"
#include "../tier.h"
#include "../unpack.h"

namespace bitwright {
namespace {
#include "rows.inl"
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

#ifdef __AVX2__
namespace encode_avx2 {
extern const EncoderSet encoder_set;
}
using encode_avx2::encoder_set;
#else
namespace encode_portable {
extern const EncoderSet encoder_set;
}
using encode_portable::encoder_set;
#endif

extern const Tier BITWRIGHT_VARIABLE(BITWRIGHT_TIER);
const Tier BITWRIGHT_VARIABLE(BITWRIGHT_TIER) = {BITWRIGHT_NAME(BITWRIGHT_TIER),
                                                 compiled_features(),
                                                 products::matmul_kernels,
                                                 vectors::vector_kernels,
                                                 products::path,
                                                 ceilings::limit_kernels,
                                                 dequantize_row,
                                                 &encoder_set};

}  // namespace bitwright
