// Every tier must write the same bytes on every architecture. Each encodes fixed values in every format, by both methods,
// with and without importance, and with error feedback; the digest of all bytes must be the one below. Prints one line
// per tier.
#include <map>
#include <memory>

#include "../pool.h"
#include "../quantize/encode.h"
#include "random_cases.h"

using namespace bitwright;

namespace {

constexpr uint64_t kDigest = 0x1491de541e751f53;
constexpr int64_t kValues = 9 * 256, kColumns = 256, kRows = 5;

struct Digest {  // FNV-1a
  uint64_t value = 0xcbf29ce484222325;
  void add(const std::vector<uint8_t>& bytes) {
    for (uint8_t b : bytes) value = (value ^ b) * 0x100000001b3;
  }
};

// Values near one, values of a wide range, and blocks of zeros; importance is positive.
void fill(std::vector<float>& x, std::vector<float>& importance) {
  for (size_t i = 0; i < x.size(); ++i) {
    const float v = float(pick(-1000, 1000)) / 700;
    x[i] = i / 256 % 4 == 3 ? 0 : i / 256 % 4 == 2 ? v * v * v : v;
    importance[i] = float(pick(1, 1000)) / 300;
  }
}

bool add_encodings(const EncoderSet& set, const std::vector<float>& x, const std::vector<float>& importance,
                   Digest& digest) {
  for (const Encoder* e = set.encoders; e < set.encoders + set.count; ++e) {
    for (const Encode encode : {e->rtn, e->search}) {
      for (const float* weights : {static_cast<const float*>(nullptr), importance.data()}) {
        if (!encode || (weights && encode == e->rtn && !e->rtn_importance)) continue;
        std::vector<uint8_t> out(size_t(kValues / e->block_size * e->block_bytes));
        if (encode(x.data(), weights, kValues / e->block_size, out.data()) >= 0)
          return std::printf("FAILED format %d: a scale is out of range\n", int(e->format)), false;
        digest.add(out);
      }
    }
  }
  return true;
}

// Q4_0 and Q4_K: one format of a single scale, one of superblocks.
bool add_feedback(const EncoderSet& set, const std::vector<float>& x, Pool& pool, Digest& digest) {
  std::vector<float> hessian(size_t(kColumns * kColumns));
  for (int64_t i = 0; i < kColumns; ++i)
    for (int64_t j = 0; j < kColumns; ++j)
      hessian[size_t(i * kColumns + j)] = (i == j ? 2.0f : 0.0f) + 1.0f / float(1 + (i > j ? i - j : j - i));
  std::vector<float> factored = hessian;
  if (!set.factor(factored.data(), kColumns, pool)) return std::printf("FAILED: factorization refused\n"), false;
  for (const Feedback* f = set.feedback; f < set.feedback + set.feedback_count; ++f) {
    if (f->format != FormatId::q4_0 && f->format != FormatId::q4_k) continue;
    std::vector<uint8_t> out(size_t(kRows * row_bytes(f->format, kColumns)));
    double objective[2] = {};
    f->encode({kColumns, hessian.data(), factored.data(), 1}, x.data(), kRows, out.data(), objective, pool);
    digest.add(out);
  }
  return true;
}

}  // namespace

int main() {
  fill_codebooks();
  std::vector<float> x(kValues), importance(kValues);
  fill(x, importance);
  const std::shared_ptr<Pool> pool = shared_pool(1);
  bool failed = false;
  std::map<const EncoderSet*, Digest> digests;  // tiers share encoders
  for (const Tier* tier : tested_tiers()) {
    const auto [at, first] = digests.try_emplace(tier->encoders);
    Digest& digest = at->second;
    if (first &&
        !(add_encodings(*tier->encoders, x, importance, digest) && add_feedback(*tier->encoders, x, *pool, digest)))
      failed = true;
    std::printf("%s: %016llx\n", tier->name, (unsigned long long)digest.value);
    if (digest.value != kDigest) std::printf("FAILED %s: the bytes differ\n", tier->name), failed = true;
  }
  return failed;
}
