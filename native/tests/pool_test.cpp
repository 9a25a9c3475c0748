// Runs the pool hard enough for ThreadSanitizer to see every pair of accesses: exits 0, or 1 with what went wrong.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pool.h"

using bitwright::Pool;

namespace {

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "pool_test: %s\n", what);
  std::exit(1);
}

// Plain (non-atomic) memory handed from thread to thread over barriers: right only if a barrier orders them.
void barriers_order(Pool& pool, int rounds) {
  std::vector<int> cells(static_cast<size_t>(pool.threads()), 0);
  pool.run([&](int thread) {
    for (int round = 0; round < rounds; ++round) {
      const size_t mine = static_cast<size_t>((thread + round) % pool.threads());
      cells[mine] += 1;
      pool.barrier();
    }
  });
  for (int cell : cells) check(cell == rounds, "a barrier let a thread through early");
}

void every_index_once(Pool& pool) {
  for (int64_t count : {0, 1, 7, 1000}) {
    for (int64_t grain : {1, 3, 2000}) {
      std::vector<int> seen(static_cast<size_t>(count), 0);
      pool.parallel_for(count, grain, [&](int64_t begin, int64_t end, int) {
        for (; begin < end; ++begin) seen[static_cast<size_t>(begin)] += 1;
      });
      for (int times : seen) check(times == 1, "parallel_for missed or repeated an index");
    }
  }
}

void exceptions_arrive(Pool& pool) {
  for (int failing = 0; failing < pool.threads(); ++failing) {
    std::string got;
    try {
      pool.run([&](int thread) {
        pool.barrier();
        if (thread == failing) throw std::runtime_error("thread " + std::to_string(thread));
        pool.barrier();   // the others must not wait here for ever
        pool.barrier();
      });
    } catch (const std::runtime_error& e) {
      got = e.what();
    }
    check(got == "thread " + std::to_string(failing), "an exception was lost");
    barriers_order(pool, 10);
  }
  bool refused = false;
  try {
    pool.run([&](int thread) {
      if (thread == 0) pool.run([](int) {});
    });
  } catch (const std::logic_error&) {
    refused = true;
  }
  check(refused, "run() inside run() was not refused");
}

void callers_take_turns(Pool& pool) {
  int total = 0;   // not atomic: only one run at a time may touch it
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i)
        pool.run([&](int thread) {
          if (thread == 0) ++total;
        });
    });
  for (std::thread& t : callers) t.join();
  check(total == 600, "two callers ran at once");
}

void sleepers_wake(Pool& pool) {
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));   // long enough to be asleep, not spinning
    barriers_order(pool, 3);
  }
}

// A child of fork() has no threads: it must be told so, must be able to make a pool of its own, and must be able to leave.
void fork_is_refused() {
  auto pool = std::make_unique<Pool>(2);
  const pid_t child = fork();
  if (child == 0) {
    int code = 1;
    try {
      pool->run([](int) {});
    } catch (const std::runtime_error&) {
      code = 0;
    }
    pool.reset();
    Pool own(2);
    barriers_order(own, 3);
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a pool worked after fork()");
}

}  // namespace

int main(int argc, char**) {
  if (argc == 1) fork_is_refused();   // ThreadSanitizer does not follow new threads in a child
  for (int threads : {1, 2, 3, 8}) {
    Pool pool(threads);
    check(pool.threads() == threads, "threads()");
    barriers_order(pool, 300);
    every_index_once(pool);
    exceptions_arrive(pool);
    callers_take_turns(pool);
    sleepers_wake(pool);
  }
  bool refused = false;
  try {
    Pool none(0);
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  check(refused, "a pool of no threads");
  check(bitwright::shared_pool(2) != bitwright::shared_pool(3), "pools of two sizes are one");
  auto a = bitwright::shared_pool(2), b = bitwright::shared_pool(2);
  check(a == b, "pools of one size are not shared");
}
