#include "region.h"

#include <new>
#include <utility>

#include "platform.h"

namespace bitwright {

Region::Region(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  data_ = static_cast<uint8_t*>(platform::map_pages(bytes));
  if (!data_) throw std::bad_alloc();
}

Region::~Region() {
  if (data_) platform::unmap_pages(data_, bytes_);
}

void Region::discard(int64_t offset, int64_t bytes) const {
  platform::discard_pages(data_ + offset, static_cast<size_t>(bytes));
}

Region::Region(Region&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Region& Region::operator=(Region&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace bitwright
