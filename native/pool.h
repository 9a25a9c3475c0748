// The thread pool of all native code. Threads spin briefly while they wait, then sleep, so an idle engine uses no CPU.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace bitwright {

class Pool {
 public:
  // Throws std::invalid_argument below 1, std::system_error or std::bad_alloc if so many threads cannot be started.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  int threads() const;
  // Runs f(thread) on every thread of the pool, including the caller's, and returns when all are done.
  // The first exception thrown is rethrown here. Calls from several threads wait for one another; a call from inside run()
  // would wait for itself, so it throws std::logic_error. A child of fork() has none of the threads: there run() throws
  // std::runtime_error, and the child must make a new pool.
  void run(const std::function<void(int)>& f);
  // Calls f(begin, end, thread) for chunks of `grain` of [0, count), each on whichever thread is free.
  void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& f);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The work of one phase inside run(): chunks of [0, count), each taken by whichever thread is free. The phase ends when its
// work is done, so a late thread delays no other, as it would at a barrier. On a shared machine, where threads are often
// late, only the late thread's time is lost. Chunks shrink towards the end, so that the others do not wait long for the last
// chunk of a slow core: on a chip of two kinds, or one that another process keeps busy.
class Share {
 public:
  void reset(int threads);  // before run()
  // Calls f(begin, end) for chunks of at most `grain` until none is left; the thread that finishes the last calls then().
  // Returns true when all that is done, or false once abandon() has been called. Every thread must pass the same count,
  // below 2^31 - 1.
  template <typename F, typename Then>
  bool take(int64_t count, int64_t grain, F f, Then then) {
    int64_t begin = next_.load(std::memory_order_relaxed);
    while (begin < count) {
      const int64_t end = begin + chunk(count - begin, grain, threads_);
      if (!next_.compare_exchange_weak(begin, end, std::memory_order_relaxed)) continue;
      f(begin, end);
      if (finish(static_cast<uint32_t>(end - begin), static_cast<uint32_t>(count))) {
        then();
        release();
      }
      begin = next_.load(std::memory_order_relaxed);
    }
    return count == 0 || wait(static_cast<uint32_t>(count) + 1);
  }
  // What a thread takes of the `left` items that nobody has taken: a quarter of its equal share, so that a core of a quarter
  // of the speed ends with the others; but at least a quarter of `grain`, and at most all.
  static int64_t chunk(int64_t left, int64_t grain, int threads) {
    return std::min(left, std::clamp(left / (4 * threads), (grain + 3) / 4, grain));
  }
  void abandon();  // releases the waiting threads when the work cannot be done

 private:
  bool finish(uint32_t items, uint32_t count);  // whether they were the last
  void release();
  bool wait(uint32_t wanted);
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint32_t> done_{0};  // items done, one more when all is over, and a high bit once abandoned
  int threads_ = 1;
};

// One pool per count (0: platform::usable_cores()), as long as anything holds it. If the system cannot start so many
// threads, a pool of the usable cores, or of 1.
std::shared_ptr<Pool> shared_pool(int threads);

}  // namespace bitwright
