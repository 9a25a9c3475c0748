// Moving sequences between memories: save as bytes, restore, or adopt from another memory.
#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "sequence_memory.h"

namespace bitwright {

size_t SequenceMemory::saved_bytes(int64_t slot) const {
  const auto s = static_cast<size_t>(slot);
  size_t sum = sizeof(int64_t) + static_cast<size_t>(floats_) * sizeof(float);
  for (const Group& g : groups_)
    sum += sizeof(int64_t) + (g.tables[s].size() - static_cast<size_t>(g.first[s])) * static_cast<size_t>(g.page_bytes);
  return sum;
}

// Saved as: the layout and a zero; the length; for each group, the index of its first page and the pages; the states.
std::vector<uint8_t> SequenceMemory::save(int64_t slot) const {
  check(slot);
  std::lock_guard lock(mutex_);
  const auto s = static_cast<size_t>(slot);
  const std::string words = layout();
  std::vector<uint8_t> saved(words.size() + 1 + saved_bytes(slot));
  uint8_t* at = saved.data();
  const auto put = [&at](const void* from, size_t bytes) {
    at = static_cast<uint8_t*>(std::memcpy(at, from, bytes)) + bytes;
  };
  put(words.c_str(), words.size() + 1);
  put(&lengths_[s], sizeof(int64_t));
  for (const Group& g : groups_) {
    put(&g.first[s], sizeof(int64_t));
    for (size_t i = static_cast<size_t>(g.first[s]); i < g.tables[s].size(); ++i)
      put(g.page(g.tables[s][i]), static_cast<size_t>(g.page_bytes));
  }
  if (floats_) put(states_.as<float>() + slot * floats_, static_cast<size_t>(floats_) * sizeof(float));
  return saved;
}

void SequenceMemory::restore(int64_t slot, const uint8_t* saved, size_t bytes) {
  check(slot);
  std::lock_guard lock(mutex_);
  const auto s = static_cast<size_t>(slot);
  const auto refuse = [] {
    throw std::invalid_argument("the saved sequence is incomplete, or its memory had another layout");
  };
  const std::string words = layout();
  if (bytes <= words.size() || std::memcmp(saved, words.c_str(), words.size() + 1) != 0) refuse();
  const uint8_t* at = saved + words.size() + 1;
  const auto number = [&] {
    int64_t value = 0;
    if (static_cast<size_t>(saved + bytes - at) < sizeof value) refuse();
    std::memcpy(&value, at, sizeof value);
    at += sizeof value;
    return value;
  };
  // Everything is checked before anything changes.
  const int64_t length = number(), pages = divided_up(length, kKeyBlock);
  if (length < 0 || length > limits_.context) refuse();
  std::vector<std::pair<int64_t, const uint8_t*>> found;  // for each group: the index of its first page, and its pages
  for (const Group& g : groups_) {
    const int64_t first = number(), held = pages - first;
    if (first < 0 || held < 0 || (length && !held) || held > g.most || (first && !g.window)) refuse();
    const auto size = static_cast<size_t>(held * g.page_bytes);
    if (static_cast<size_t>(saved + bytes - at) < size) refuse();
    found.emplace_back(first, at);
    at += size;
  }
  if (static_cast<size_t>(saved + bytes - at) != static_cast<size_t>(floats_) * sizeof(float)) refuse();
  for (Group& g : groups_) truncate(g, s, 0);
  lengths_[s] = 0;  // even if there is no room for it
  for (size_t i = 0; i < groups_.size(); ++i) {
    Group& g = groups_[i];
    auto [first, page] = found[i];
    g.tables[s].assign(static_cast<size_t>(first), -1);
    g.first[s] = first;
    for (; static_cast<int64_t>(g.tables[s].size()) < pages; page += g.page_bytes) {
      g.tables[s].push_back(take(g));
      std::memcpy(g.page(g.tables[s].back()), page, static_cast<size_t>(g.page_bytes));
    }
    g.views[s] = g.tables[s].data();
  }
  if (floats_) std::memcpy(states_.as<float>() + slot * floats_, at, static_cast<size_t>(floats_) * sizeof(float));
  lengths_[s] = length;
}

void SequenceMemory::adopt(const SequenceMemory& from, int64_t slot, int64_t first, int64_t end) {
  if (&from == this || layout() != from.layout() || limits_.context != from.limits_.context)
    throw std::invalid_argument(
        "keys and values can only be taken from another program whose cache has the same layers, heads, format and "
        "context");
  const int64_t slots = std::min(limits_.sequences, from.limits_.sequences);
  if (slot < 0 || slot >= slots)
    throw std::invalid_argument("expected a sequence from 0 to " + std::to_string(slots - 1) +
                                ", which both memories have, got " + std::to_string(slot));
  std::scoped_lock lock(mutex_, from.mutex_);
  const auto s = static_cast<size_t>(slot);
  if (first < 0 || first > end || first > lengths_[s] || end > from.lengths_[s] ||
      (first > 0 && first < lengths_[s] && first < oldest(slot)) || (floats_ && end != from.lengths_[s]))
    throw std::invalid_argument("cannot take positions " + std::to_string(first) + " to " + std::to_string(end) +
                                " of sequence " + std::to_string(slot) + ": this memory holds " +
                                std::to_string(lengths_[s]) + " of its positions, the other " +
                                std::to_string(from.lengths_[s]));
  begin(slot, first, end);
  for (size_t i = 0; i < groups_.size(); ++i) {  // drop what the other memory has given up
    Group& g = groups_[i];
    const int64_t theirs = from.groups_[i].first[s];
    if (theirs * kKeyBlock <= first) continue;
    for (; g.first[s] < theirs; ++g.first[s])
      release(g, std::exchange(g.tables[s][static_cast<size_t>(g.first[s])], -1));
  }
  for (size_t l = 0; l < caches_.size(); ++l) {
    const int64_t held = groups_[group_of_[l]].first[s] * kKeyBlock;
    for (int64_t position = std::max(first, held); position < end; ++position)
      copy(from.caches_[l], slot, caches_[l], slot, position);
  }
  if (floats_) std::copy_n(from.states_.as<float>() + slot * floats_, floats_, states_.as<float>() + slot * floats_);
  lengths_[s] = end;
}

}  // namespace bitwright
