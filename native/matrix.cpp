#include "matrix.h"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "format_info.h"

namespace bitwright {

Matrix::Matrix(const Weight& weight, const Tier& tier, std::shared_ptr<const void> owner)
    : weight_(weight),
      tier_(tier),
      file_bytes_(static_cast<size_t>(weight.rows * row_bytes(weight.format, weight.columns))),
      owner_(std::move(owner)) {}

void Matrix::multiply(Pool& pool, const float* x, int64_t tokens, bool prefill, Rounding rounding, float* y) const {
  const MatmulKernels& k = tier_.matmul;
  const int64_t columns = weight_.columns, panels = k.panels(weight_);
  const size_t scratch = aligned(k.scratch_bytes(weight_)) + 64;
  const bool floats = tier_.reads_floats(weight_.format);
  const Region input(k.input_bytes(tokens, columns, floats) + 64), space(scratch * static_cast<size_t>(pool.threads()));
  pool.parallel_for(tokens, 4, [&](int64_t begin, int64_t end, int) {
    k.load_input(x, columns, tokens, columns, rounding, floats, input.data(), begin, end);
  });
  const auto product = prefill ? k.prefill : k.decode;
  pool.parallel_for(panels, 4, [&](int64_t begin, int64_t end, int thread) {
    uint8_t* own = space.data() + scratch * static_cast<size_t>(thread);
    product(weight_, input.data(), tokens, y, weight_.rows, begin, end, own);
  });
}

size_t WeightBank::packed_bytes(const std::vector<Request>& requests) const {
  std::lock_guard lock(mutex_);
  std::set<Key> counted;
  size_t bytes = 0;
  for (const Request& r : requests) {
    const Key key{r.file, r.format, r.rows, r.columns, r.multiplied};
    const auto known = known_.find(key);
    if (!r.multiplied || !counted.insert(key).second || (known != known_.end() && !known->second.expired())) continue;
    bytes += aligned(tier_.matmul.packed_bytes({r.format, r.rows, r.columns, r.file, nullptr}));
  }
  return bytes;
}

std::vector<MatrixRef> WeightBank::get(const std::vector<Request>& requests, std::shared_ptr<const Slab> slab,
                                       bool packed) {
  std::lock_guard lock(mutex_);
  std::vector<MatrixRef> found;
  std::vector<Matrix*> fresh;
  for (const Request& r : requests) {
    std::weak_ptr<const Matrix>& known = known_[{r.file, r.format, r.rows, r.columns, r.multiplied}];
    MatrixRef matrix = known.lock();
    if (!matrix) {
      auto made = std::shared_ptr<Matrix>(new Matrix({r.format, r.rows, r.columns, r.file, nullptr}, tier_, r.owner));
      if (r.multiplied) fresh.push_back(made.get());
      known = matrix = std::move(made);
    }
    found.push_back(std::move(matrix));
  }
  pack(fresh, std::move(slab), packed);
  std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
  return found;
}

// All threads share the work, a panel at a time. One slab holds all matrices, so that the system can use huge pages.
void WeightBank::pack(const std::vector<Matrix*>& fresh, std::shared_ptr<const Slab> slab, bool packed) {
  std::vector<size_t> offsets;
  std::vector<int64_t> ends;  // where each matrix's panels end in the list of all panels
  size_t bytes = 0;
  int64_t panels = 0;
  for (Matrix* m : fresh) {
    m->packed_bytes_ = tier_.matmul.packed_bytes(m->weight_);
    offsets.push_back(bytes);
    bytes += aligned(m->packed_bytes_);
    ends.push_back(panels += m->packed_bytes_ ? tier_.matmul.panels(m->weight_) : 0);
  }
  if (slab && slab->size() != bytes)
    throw std::invalid_argument("expected room for " + std::to_string(bytes) + " bytes of packed weights, got " +
                                std::to_string(slab->size()));
  if (!bytes) return;
  if (!slab) slab = std::make_shared<const Slab>(bytes);
  const int64_t grain = std::max<int64_t>(panels / (pool_->threads() * 32), 1);
  pool_->parallel_for(packed ? 0 : panels, grain, [&](int64_t begin, int64_t end, int) {
    for (size_t i = 0; begin < end; ++i) {
      if (begin >= ends[i]) continue;
      const int64_t base = i ? ends[i - 1] : 0, stop = std::min(end, ends[i]);
      tier_.matmul.pack(fresh[i]->weight_, slab->data() + offsets[i], begin - base, stop - base);
      begin = stop;
    }
  });
  for (size_t i = 0; i < fresh.size(); ++i) {
    if (!fresh[i]->packed_bytes_) continue;
    fresh[i]->weight_.packed = slab->data() + offsets[i];
    fresh[i]->slab_ = slab;
  }
}

size_t WeightBank::bytes() const {
  std::lock_guard lock(mutex_);
  std::set<std::shared_ptr<const Slab>> slabs;
  for (const auto& [key, known] : known_)
    if (const MatrixRef matrix = known.lock(); matrix && matrix->slab_) slabs.insert(matrix->slab_);
  size_t sum = 0;
  for (const auto& slab : slabs) sum += slab->size();
  return sum;
}

size_t WeightBank::count() const {
  std::lock_guard lock(mutex_);
  return static_cast<size_t>(
      std::count_if(known_.begin(), known_.end(), [](const auto& entry) { return !entry.second.expired(); }));
}

}  // namespace bitwright
