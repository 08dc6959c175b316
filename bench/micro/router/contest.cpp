#include "bench/micro/router/contest.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <optional>

namespace tidemark::bench {
namespace {

double cpu_us_now() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

double wall_us_now() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Result<Slice> run_slice(const Contestant& contestant) {
  const double cpu = cpu_us_now();
  const double wall = wall_us_now();
  if (Status done = contestant.run(contestant.reads_per_slice); !done)
    return std::unexpected(done.error().with_context(contestant.name));
  const auto reads = static_cast<double>(contestant.reads_per_slice);
  return Slice{(cpu_us_now() - cpu) / reads, (wall_us_now() - wall) / reads};
}

Slice median(const Contestant& contestant) {
  std::vector<double> cpu, wall;
  for (const Slice& slice : contestant.slices) {
    cpu.push_back(slice.cpu_us);
    wall.push_back(slice.wall_us);
  }
  const auto middle = [](std::vector<double>& values) {
    std::ranges::sort(values);
    return values.empty() ? 0 : values[values.size() / 2];
  };
  return {middle(cpu), middle(wall)};
}

double ratio(const std::vector<Contestant>& contestants, const Contestant& one) {
  for (const Contestant& other : contestants)
    if (other.name == one.against) return median(one).cpu_us / median(other).cpu_us;
  return 1;
}

}  // namespace

Status run_contest(std::vector<Contestant>& contestants, size_t rounds) {
  for (Contestant& contestant : contestants)
    if (auto warm = run_slice(contestant); !warm) return std::unexpected(warm.error());
  for (size_t round = 0; round < rounds; ++round) {
    for (Contestant& contestant : contestants) {
      auto slice = run_slice(contestant);
      if (!slice) return std::unexpected(slice.error());
      contestant.slices.push_back(*slice);
    }
  }
  return {};
}

std::string to_table(const std::vector<Contestant>& contestants) {
  std::string table = fmt::format("{:<44} {:>10} {:>10} {:>10}  {}\n", "one row by its key (medians)", "CPU us",
                                  "wall us", "reads/s", "CPU against");
  for (const Contestant& one : contestants) {
    const Slice middle = median(one);
    table += fmt::format("{:<44} {:>10.2f} {:>10.2f} {:>10.0f}", one.name, middle.cpu_us, middle.wall_us,
                         1e6 / middle.wall_us);
    if (!one.against.empty()) table += fmt::format("  {:.2f} x {}", ratio(contestants, one), one.against);
    table += '\n';
  }
  return table;
}

std::string to_json(const std::vector<Contestant>& contestants) {
  std::string json = "[";
  for (const Contestant& one : contestants) {
    const Slice middle = median(one);
    json += fmt::format(
        "{}\n  {{\"name\": \"{}\", \"cpu_us\": {:.3f}, \"wall_us\": {:.3f}, \"against\": \"{}\", "
        "\"cpu_ratio\": {:.3f}}}",
        json.size() > 1 ? "," : "", one.name, middle.cpu_us, middle.wall_us, one.against, ratio(contestants, one));
  }
  return json + "\n]\n";
}

}  // namespace tidemark::bench
