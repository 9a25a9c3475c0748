// The thread pool of all native code. Threads spin briefly while they wait, then sleep, so an idle engine uses no CPU.
#pragma once
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
// late, only the late thread's time is lost.
class Share {
 public:
  void reset();  // before run()
  // Calls f(begin, end) for chunks of `grain` until none is left. Returns true when all of [0, count) is done, or false once
  // abandon() has been called. Every thread must pass the same count, below 2^31.
  template <typename F>
  bool take(int64_t count, int64_t grain, F f) {
    for (int64_t begin; (begin = next_.fetch_add(grain, std::memory_order_relaxed)) < count;) {
      const int64_t end = begin + grain < count ? begin + grain : count;
      f(begin, end);
      finish(static_cast<uint32_t>(end - begin), static_cast<uint32_t>(count));
    }
    return wait(static_cast<uint32_t>(count));
  }
  void abandon();  // releases the waiting threads when the work cannot be done

 private:
  void finish(uint32_t items, uint32_t count);
  bool wait(uint32_t count);
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint32_t> done_{0};  // items done, and a high bit once abandoned
};

// One pool per count (0: platform::usable_cores()), as long as anything holds it. If the system cannot start so many
// threads, a pool of the usable cores, or of 1.
std::shared_ptr<Pool> shared_pool(int threads);

}  // namespace bitwright
