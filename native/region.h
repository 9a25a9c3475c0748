// A zeroed region for weights, caches and activations. The system provides pages as they are touched, huge pages if it can.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bitwright {

inline size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }  // whole cache lines

class Region {
 public:
  Region() = default;
  explicit Region(size_t bytes);  // throws std::bad_alloc
  ~Region();
  Region(Region&& other) noexcept;
  Region& operator=(Region&& other) noexcept;
  size_t size() const { return bytes_; }
  uint8_t* data() const { return data_; }
  void discard(int64_t offset,
               int64_t bytes) const;  // returns whole pages inside the range to the system; their contents are lost
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace bitwright
