// One pool of threads for everything native. Threads wait briefly by spinning, then sleep, so that an idle engine uses no CPU.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

namespace bitwright {

class Pool {
 public:
  explicit Pool(int threads);   // throws std::invalid_argument below 1
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  int threads() const;
  // Runs f(thread) on every thread of the pool, the caller's included, and returns when all are done.
  // The first exception thrown is rethrown here. Calls from several threads wait for one another; a call from inside run()
  // would wait for itself, so it throws std::logic_error. After fork() the child has none of the threads: there it throws
  // std::runtime_error, and the child must make a pool of its own.
  void run(const std::function<void(int)>& f);
  // Splits [0, count) into chunks of `grain` taken by whichever thread is free: f(begin, end, thread).
  void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& f);
  void barrier();   // only inside run(): every thread waits for the others, or is thrown out when another has failed

 private:
  struct State;
  std::unique_ptr<State> state_;
};

int available_cores();                             // those this process may run on
std::shared_ptr<Pool> shared_pool(int threads);    // 0: available_cores(). One pool per count, as long as anyone holds it.

}  // namespace bitwright
