// The memory of sequences: keys and values of every layer, in pages, and states of a fixed size.
//
// Layers with the same window form a group, and a page holds kKeyBlock positions of all layers of a group. Each sequence has a
// table of pages for each group. Forked sequences share their pages until one of them writes. The writer then gets a copy of the
// one page that both have started, and new pages after it. In a group with a window, a sequence gives up its oldest pages once it
// holds as many as a window and a batch can touch.
#pragma once
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "cache.h"
#include "region.h"

namespace bitwright {

struct LayerShape {
  int64_t kv_heads, head_dim, window;  // window 0: a token sees every position before it
  int64_t latent;                      // as in a Cache
  bool operator==(const LayerShape&) const = default;
};

// Tokens of a step, positions of a sequence, sequences, and bytes that all of them together may take. One sequence can always fill
// its context.
struct Limits { int64_t batch, context, sequences, bytes; };

class SequenceMemory {
 public:
  // `states` lists the floats that each sequence keeps for each recurrent layer. Throws std::invalid_argument for sizes out of
  // range, and std::runtime_error if the system does not have that much memory.
  SequenceMemory(std::vector<LayerShape> layers, std::vector<int64_t> states, Limits limits, FormatId format);

  const Limits& limits() const { return limits_; }
  const std::vector<LayerShape>& layers() const { return shapes_; }
  const std::vector<int64_t>& lengths() const { return lengths_; }  // positions each sequence holds
  const std::vector<int64_t>& states() const { return state_floats_; }
  int64_t earliest(int64_t slot) const;    // the lowest position, other than 0, that it may continue from
  size_t bytes() const;                    // of all the pages and states it can ever hold
  size_t bytes_in_use() const;             // of pages that some sequence holds, and of states
  size_t bytes_for(int64_t length) const;  // the most that the pages of a sequence of this length take
  std::string layout() const;              // as text; memories with equal layouts can restore each other's sequences

  // For a step. begin() makes room for positions [begin, end) of a sequence in pages that no other sequence shares, and forgets
  // what the sequence held from `begin` on; from 0 on, its states are zeros. The sequence holds the new positions after
  // commit(); after fail(), one with states is empty, as these may hold some of the step's tokens. Throws std::runtime_error if
  // there are no more pages.
  void begin(int64_t slot, int64_t begin, int64_t end);
  void commit(int64_t slot, int64_t length) { lengths_[static_cast<size_t>(slot)] = length; }
  void fail(int64_t slot);
  const Cache& cache(int layer) const { return caches_[static_cast<size_t>(layer)]; }
  FormatId format() const { return format_; }  // of keys and values
  float* state(int index, int64_t slot) const;
  std::mutex& mutex() const { return mutex_; }

  // All of these throw std::invalid_argument for a sequence or position that does not exist.
  void fork(int64_t from, int64_t to);    // makes `to` a copy of `from`, without copying a page
  void drop(int64_t slot, int64_t keep);  // forgets all but the first `keep` positions
  void evict(int64_t slot);               // forgets everything and gives the memory of free pages back to the system
  std::vector<uint8_t> save(int64_t slot) const;
  void restore(int64_t slot, const uint8_t* saved, size_t bytes);  // std::runtime_error if there are no more pages
  // Copies positions [begin, end) of a sequence from another memory of the same layout; the sequence then ends at `end`. What it
  // held before `begin` stays. States are the other's after its last position, so `end` must be that.
  void adopt(const SequenceMemory& from, int64_t slot, int64_t begin, int64_t end);

 private:
  struct Group {
    int64_t window, most;               // pages that a sequence can have
    int64_t page_bytes = 0, fresh = 0;  // pages from `fresh` on were never used
    Region region;
    std::vector<int32_t> free, users;          // users of each page
    std::vector<std::vector<int32_t>> tables;  // of each sequence; -1: given up
    std::vector<int64_t> first;                // index of the first page each sequence still holds
    std::vector<const int32_t*> views;         // of the tables, for the kernels
    uint8_t* page(int32_t index) const { return region.data() + index * page_bytes; }
  };
  int32_t take(Group& g);
  void release(Group& g, int32_t page) const;
  void truncate(Group& g, size_t slot, int64_t pages) const;
  void check(int64_t slot) const;
  int64_t oldest(int64_t slot) const;  // as earliest(), but for the pages alone
  void clear(int64_t slot) const;      // the states
  size_t saved_bytes(int64_t slot) const;

  std::vector<LayerShape> shapes_;
  std::vector<int64_t> state_floats_, state_offsets_;
  Limits limits_;
  FormatId format_;
  std::vector<Group> groups_;
  std::vector<Cache> caches_;
  std::vector<size_t> group_of_;  // the group of each layer
  std::vector<int64_t> lengths_;
  int64_t floats_ = 0;     // of all states of one sequence
  size_t page_bytes_ = 0;  // the most that pages may take
  Region states_;
  mutable std::mutex mutex_;
};

}  // namespace bitwright
