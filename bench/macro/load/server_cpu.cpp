#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "bench/macro/load/load_run.h"

namespace tidemark::bench {

Result<double> cpu_seconds_of(uint32_t pid) {
  std::error_code error;
  double nanoseconds = 0;
  for (std::filesystem::directory_iterator task(fmt::format("/proc/{}/task", pid), error), end; !error && task != end;
       task.increment(error)) {
    std::ifstream file(task->path() / "schedstat");
    double on_cpu = 0;
    if (file >> on_cpu) nanoseconds += on_cpu;
  }
  if (error) return fail(ErrorCode::kNotFound, fmt::format("process {}: {}", pid, error.message()));
  return nanoseconds * 1e-9;
}

}  // namespace tidemark::bench
