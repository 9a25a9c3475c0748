// A zeroed region for weights, caches and activations: pages are taken from the system as they are touched, huge ones if given.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bitwright {

class Memory {
 public:
  Memory() = default;
  explicit Memory(size_t bytes);  // throws std::bad_alloc
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  size_t size() const { return bytes_; }
  uint8_t* data() const { return data_; }
  void discard(int64_t offset, int64_t bytes) const;  // gives the system pages inside back; their contents are lost
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace bitwright
