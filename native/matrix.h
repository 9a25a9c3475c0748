// Weight matrices ready for multiplication, and the bank that packs each of them once, however many programs use it.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "region.h"
#include "pool.h"
#include "tier.h"

namespace bitwright {

// Where a bank's packed matrices lie: memory of its own, or of its caller, such as a mapped file that already holds them.
class Slab {
 public:
  explicit Slab(size_t bytes) : own_(bytes), data_(own_.data()), bytes_(bytes) {}
  Slab(uint8_t* data, size_t bytes, std::shared_ptr<const void> owner)
      : data_(data), bytes_(bytes), owner_(std::move(owner)) {}
  uint8_t* data() const { return data_; }
  size_t size() const { return bytes_; }

 private:
  Region own_;
  uint8_t* data_;
  size_t bytes_;
  std::shared_ptr<const void> owner_;
};

// One matrix in a tier's layout. It keeps its memory (and, through `owner`, the file's bytes) alive.
class Matrix {
 public:
  const Weight& weight() const { return weight_; }
  const Tier& tier() const { return tier_; }
  size_t bytes() const { return packed_bytes_ ? packed_bytes_ : file_bytes_; }  // in the layout that products read
  size_t packed_bytes() const { return packed_bytes_; }                         // 0: products read the file's layout
  // y (tokens, rows) = x (tokens, columns) W'; prefill: use the kernel for many tokens.
  void multiply(Pool& pool, const float* x, int64_t tokens, bool prefill, Rounding rounding, float* y) const;

 private:
  friend class WeightBank;
  Matrix(const Weight& weight, const Tier& tier, std::shared_ptr<const void> owner);
  Weight weight_;
  const Tier& tier_;
  size_t file_bytes_, packed_bytes_ = 0;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<const Slab> slab_;  // holds the packed form, together with the others of one request
};

using MatrixRef = std::shared_ptr<const Matrix>;

class WeightBank {
 public:
  // `file` are the bytes as stored, kept valid by `owner`. Not `multiplied`: rows are only looked up.
  struct Request {
    FormatId format;
    int64_t rows, columns;
    const uint8_t* file;
    std::shared_ptr<const void> owner;
    bool multiplied;
  };

  WeightBank(const Tier& tier, std::shared_ptr<Pool> pool) : tier_(tier), pool_(std::move(pool)) {}
  // One matrix for each request. A matrix in use with the same bytes, format and shape is shared; the others are packed
  // together, by all threads, into `slab` (none: new memory), unless it is `packed` and holds them already. Throws
  // std::invalid_argument for a slab of another size than `packed_bytes`.
  std::vector<MatrixRef> get(const std::vector<Request>& requests, std::shared_ptr<const Slab> slab = nullptr,
                             bool packed = false);
  size_t packed_bytes(const std::vector<Request>& requests) const;  // of the matrices that are not in use yet
  size_t bytes() const;                                             // packed weights in use
  size_t count() const;                                             // matrices in use
  const Tier& tier() const { return tier_; }
  const std::shared_ptr<Pool>& pool() const { return pool_; }

 private:
  using Key = std::tuple<const uint8_t*, FormatId, int64_t, int64_t, bool>;
  void pack(const std::vector<Matrix*>& fresh, std::shared_ptr<const Slab> slab, bool packed);

  const Tier& tier_;
  std::shared_ptr<Pool> pool_;
  mutable std::mutex mutex_;
  std::map<Key, std::weak_ptr<const Matrix>> known_;
};

}  // namespace bitwright
