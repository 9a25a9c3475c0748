#include "sequence_memory.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include "checked.h"

namespace bitwright {
namespace {

// The most pages that n consecutive positions can touch.
int64_t pages_touched(int64_t n) { return n < 2 ? n : (n - 2) / kKeyBlock + 2; }

Region region_of(int64_t bytes) {
  try {
    return Region(static_cast<size_t>(bytes));
  } catch (const std::bad_alloc&) {
    throw std::runtime_error("a key-value cache of " + std::to_string(bytes) +
                             " bytes does not fit this machine's memory: choose a smaller context, fewer sequences or "
                             "a quantized cache");
  }
}

}  // namespace

SequenceMemory::SequenceMemory(std::vector<LayerShape> layers, std::vector<int64_t> states, Limits limits,
                               FormatId format)
    : shapes_(std::move(layers)), state_floats_(std::move(states)), limits_(limits), format_(format) {
  cache_format_name(format);  // throws for any other
  check_size("batch", limits.batch, 1, kMostBatch);
  check_size("context", limits.context, 1, kMostContext);
  check_size("sequences", limits.sequences, 1, kMostSequences);
  const auto slots = static_cast<size_t>(limits.sequences);
  lengths_.assign(slots, 0);
  const int64_t whole = divided_up(limits.context, kKeyBlock);
  for (const LayerShape& shape : shapes_) {
    check_size("heads", shape.kv_heads, 1, kMostWidth);
    check_size("values in a head", shape.head_dim, 1, kMaxHeadDim);
    check_size("window", shape.window, 0, kMostContext);
    check_size("values in a latent vector", shape.latent, 0, shape.head_dim);
    const bool bounded = shape.window > 0 && shape.window < limits.context;
    const int64_t window = bounded ? shape.window : 0, reach = window - 1 + limits.batch;
    auto g = std::find_if(groups_.begin(), groups_.end(), [&](const Group& own) { return own.window == window; });
    if (g == groups_.end()) {
      g = groups_.insert(groups_.end(), Group{});
      g->window = window;
      g->most = bounded ? std::min(whole, pages_touched(reach)) : whole;
      g->tables.resize(slots);
      g->first.resize(slots);
      g->views.resize(slots);
    }
    int64_t positions = padded(limits.context);
    if (bounded) positions = std::min(positions, padded(reach, kKeyBlock));
    caches_.push_back({format_, shape.kv_heads, shape.head_dim, shape.latent, shape.window, positions, nullptr, 0, 0, 0,
                       0, 0, nullptr});
    g->page_bytes = place(caches_.back(), g->page_bytes);
    check_size("bytes of a page", g->page_bytes, 1, kMostBytes);
    group_of_.push_back(static_cast<size_t>(g - groups_.begin()));
  }
  for (int64_t floats : state_floats_) {
    check_size("floats of a state", floats, 1, kMostWidth);
    state_offsets_.push_back(std::exchange(floats_, floats_ + padded(floats)));
  }
  states_ = region_of(product(product(limits.sequences, floats_), sizeof(float)));
  const auto room = static_cast<size_t>(std::max<int64_t>(limits.bytes, 0));
  page_bytes_ = std::max(room - std::min(room, states_.size()), bytes_for(limits.context));
  for (Group& g : groups_) {
    const auto held = static_cast<int64_t>(page_bytes_) / g.page_bytes;
    g.region = region_of(product(std::min(product(limits.sequences, g.most), held), g.page_bytes));
  }
  for (size_t l = 0; l < caches_.size(); ++l) {
    const Group& g = groups_[group_of_[l]];
    caches_[l].pages = g.region.data();
    caches_[l].page_bytes = g.page_bytes;
    caches_[l].tables = g.views.data();
  }
}

int64_t SequenceMemory::earliest(int64_t slot) const {
  check(slot);
  return floats_ ? lengths_[static_cast<size_t>(slot)] : oldest(slot);  // states cannot go back
}

int64_t SequenceMemory::oldest(int64_t slot) const {
  int64_t lowest = 0;
  for (const Group& g : groups_)
    if (const int64_t first = g.first[static_cast<size_t>(slot)])
      lowest = std::max(lowest, first * kKeyBlock + g.window - 1);
  return lowest;
}

size_t SequenceMemory::bytes() const {
  size_t sum = 0;
  for (const Group& g : groups_) sum += g.region.size();
  return states_.size() + std::min(sum, page_bytes_);
}

size_t SequenceMemory::bytes_in_use() const {
  size_t sum = states_.size();
  for (const Group& g : groups_)
    sum += (static_cast<size_t>(g.fresh) - g.free.size()) * static_cast<size_t>(g.page_bytes);
  return sum;
}

size_t SequenceMemory::bytes_for(int64_t length) const {
  size_t sum = 0;
  for (const Group& g : groups_)
    sum += static_cast<size_t>(product(std::min(divided_up(length, kKeyBlock), g.most), g.page_bytes));
  return sum;
}

std::string SequenceMemory::layout() const {
  std::string words = "format " + std::to_string(static_cast<int>(format_));
  for (size_t l = 0; l < shapes_.size(); ++l) {
    const int64_t window = groups_[group_of_[l]].window;
    words += ", " + std::to_string(shapes_[l].kv_heads) + "x" + std::to_string(shapes_[l].head_dim) + "/" +
             std::to_string(window) + (window ? ":" + std::to_string(caches_[l].positions) : "") +
             (shapes_[l].latent ? " latent " + std::to_string(shapes_[l].latent) : "");
  }
  for (int64_t floats : state_floats_) words += ", state " + std::to_string(floats);
  return words;
}

float* SequenceMemory::state(int index, int64_t slot) const {
  return states_.as<float>() + slot * floats_ + state_offsets_[static_cast<size_t>(index)];
}

int32_t SequenceMemory::take(Group& g) {
  if (bytes_in_use() - states_.size() + static_cast<size_t>(g.page_bytes) > page_bytes_)
    throw std::runtime_error("the keys and values of all sequences take more than the " + std::to_string(page_bytes_) +
                             " bytes that they may have");
  int32_t page;
  if (g.free.empty()) {
    page = static_cast<int32_t>(g.fresh++);
    g.users.push_back(0);
  } else {
    page = g.free.back();
    g.free.pop_back();
  }
  g.users[static_cast<size_t>(page)] = 1;
  return page;
}

void SequenceMemory::release(Group& g, int32_t page) const {
  if (page >= 0 && --g.users[static_cast<size_t>(page)] == 0) g.free.push_back(page);
}

void SequenceMemory::truncate(Group& g, size_t slot, int64_t pages) const {
  std::vector<int32_t>& table = g.tables[slot];
  while (static_cast<int64_t>(table.size()) > pages) {
    release(g, table.back());
    table.pop_back();
  }
  if (table.empty()) g.first[slot] = 0;
  g.views[slot] = table.data();
}

void SequenceMemory::begin(int64_t slot, int64_t begin, int64_t end) {
  const auto s = static_cast<size_t>(slot);
  lengths_[s] = begin;
  for (Group& g : groups_) {
    std::vector<int32_t>& table = g.tables[s];
    truncate(g, s, divided_up(begin, kKeyBlock));
    if (begin % kKeyBlock && g.users[static_cast<size_t>(table.back())] > 1) {
      const int32_t shared = std::exchange(table.back(), take(g));
      std::memcpy(g.page(table.back()), g.page(shared), static_cast<size_t>(g.page_bytes));
      release(g, shared);
    }
    const int64_t pages = divided_up(end, kKeyBlock);
    for (; g.first[s] < std::min<int64_t>(pages - g.most, static_cast<int64_t>(table.size())); ++g.first[s])
      release(g, std::exchange(table[static_cast<size_t>(g.first[s])], -1));
    while (static_cast<int64_t>(table.size()) < pages) table.push_back(take(g));
    g.views[s] = table.data();
  }
  if (begin == 0) clear(slot);
}

void SequenceMemory::fail(int64_t slot) {
  if (!floats_) return;
  for (Group& g : groups_) truncate(g, static_cast<size_t>(slot), 0);
  lengths_[static_cast<size_t>(slot)] = 0;
}

void SequenceMemory::clear(int64_t slot) const {
  if (floats_) std::fill_n(states_.as<float>() + slot * floats_, floats_, 0.f);
}

void SequenceMemory::check(int64_t slot) const {
  if (slot < 0 || slot >= limits_.sequences)
    throw std::invalid_argument("expected a sequence from 0 to " + std::to_string(limits_.sequences - 1) + ", got " +
                                std::to_string(slot));
}

void SequenceMemory::fork(int64_t from, int64_t to) {
  check(from);
  check(to);
  if (from == to) return;
  std::lock_guard lock(mutex_);
  const auto source = static_cast<size_t>(from), target = static_cast<size_t>(to);
  for (Group& g : groups_) {
    truncate(g, target, 0);
    g.tables[target] = g.tables[source];
    for (int32_t page : g.tables[target])
      if (page >= 0) ++g.users[static_cast<size_t>(page)];
    g.first[target] = g.first[source];
    g.views[target] = g.tables[target].data();
  }
  lengths_[target] = lengths_[source];
  if (floats_) std::copy_n(states_.as<float>() + from * floats_, floats_, states_.as<float>() + to * floats_);
}

void SequenceMemory::drop(int64_t slot, int64_t keep) {
  check(slot);
  std::lock_guard lock(mutex_);
  const auto s = static_cast<size_t>(slot);
  const int64_t lowest = earliest(slot), length = lengths_[s];
  if (keep < 0 || keep > length || (keep > 0 && keep < length && keep < lowest))
    throw std::invalid_argument("sequence " + std::to_string(slot) + " can keep 0" +
                                (lowest == 0        ? " to "
                                 : lowest == length ? " or "
                                                    : " or " + std::to_string(lowest) + " to ") +
                                std::to_string(length) + " of its positions, not " + std::to_string(keep));
  for (Group& g : groups_) truncate(g, s, divided_up(keep, kKeyBlock));
  lengths_[s] = keep;
  if (keep == 0) clear(slot);
}

void SequenceMemory::evict(int64_t slot) {
  drop(slot, 0);
  std::lock_guard lock(mutex_);
  for (Group& g : groups_)
    for (int32_t page : g.free) g.region.discard(page * g.page_bytes, g.page_bytes);
}

}  // namespace bitwright
