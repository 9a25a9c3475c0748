// The encoders with four lanes and the instructions that every machine of this architecture has.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "codebooks.h"
#include "encode.h"
#include "fp.h"
#include "pool.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are passed only to functions that are inlined

namespace bitwright::encode_portable {
constexpr int kLanes = 4;
#include "encoders.inl"
}  // namespace bitwright::encode_portable
