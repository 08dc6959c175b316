#include "bench/macro/load/server_process.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

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

Result<uint64_t> rss_bytes_of(uint32_t pid) {
  std::ifstream file(fmt::format("/proc/{}/statm", pid));
  uint64_t size_pages = 0, resident_pages = 0;
  if (!(file >> size_pages >> resident_pages)) return fail(ErrorCode::kNotFound, fmt::format("no process {}", pid));
  return resident_pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace tidemark::bench
