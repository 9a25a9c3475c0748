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

// The work of one phase inside run(): [0, count), shared out to the threads in equal ranges. A thread takes its range in
// chunks from the front, so that what it reads lies in a row; when nothing is left of it, it takes chunks from the back of
// others'. The phase ends when its work is done, so a late thread delays no other, as it would at a barrier. On a shared
// machine, where threads are often late, only the late thread's time is lost. Chunks shrink towards the end, so that the
// others do not wait long for the last chunk of a slow core: on a chip of two kinds, or one that another process keeps busy.
class Share {
 public:
  void reset(int threads);  // before run()
  // Calls f(begin, end) for chunks of at most `grain` until none is left; the thread that finishes the last calls then().
  // Returns true when all that is done, or false once abandon() has been called. Every thread must pass the same count,
  // below 2^31 - 1.
  template <typename F, typename Then>
  bool take(int thread, int64_t count, int64_t grain, F f, Then then) {
    for (Chunk chunk; claim(thread, count, grain, chunk);) {
      f(chunk.begin, chunk.end);
      if (finish(static_cast<uint32_t>(chunk.end - chunk.begin), static_cast<uint32_t>(count))) {
        then();
        release();
      }
    }
    return count == 0 || wait(static_cast<uint32_t>(count) + 1);
  }
  struct Chunk { int64_t begin, end; };
  // Takes a chunk for a thread, or returns false if nothing is left.
  bool claim(int thread, int64_t count, int64_t grain, Chunk& chunk);
  void abandon();  // releases the waiting threads when the work cannot be done

 private:
  bool finish(uint32_t items, uint32_t count);  // whether they were the last
  void release();
  bool wait(uint32_t wanted);
  // What is taken of each thread's range: in the upper half items from the front, in the lower from the back.
  std::unique_ptr<std::atomic<uint64_t>[]> taken_;
  alignas(64) std::atomic<uint32_t> done_{0};  // items done, one more when all is over, and a high bit once abandoned
  int threads_ = 0;
};

// One pool per count (0: platform::usable_cores()), as long as anything holds it. If the system cannot start so many
// threads, a pool of the usable cores, or of 1.
std::shared_ptr<Pool> shared_pool(int threads);

}  // namespace bitwright
