#include "bench/macro/outage_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/macro/fault_report.h"

namespace tidemark::bench {
namespace {

constexpr std::array<std::string_view, 4> kPhaseNames = {"before", "stopped", "recovering", "healthy"};
constexpr std::array<std::string_view, 3> kAllowed = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"};

double to_ms(int64_t us) {
  return static_cast<double>(us) / 1000;
}

}  // namespace

// A request that was under way when the part stopped or when it must be healthy again belongs to the more forgiving
// phase.
OutageReport::Phase OutageReport::phase_of(const AnswerRecord& record) const {
  if (record.end_us < options_.stopped_us) return kBefore;
  if (record.start_us < options_.returned_us) return kStopped;
  return record.start_us < options_.returned_us + kRecovery.count() ? kRecovering : kHealthy;
}

void OutageReport::add(const AnswerRecord& record) {
  if (record.is_warmup) return;
  Figures& figures = figures_[phase_of(record)];
  figures.latency_us_max = std::max(figures.latency_us_max, record.end_us - record.start_us);
  if (record.kind == RecordKind::kError) {
    ++figures.errors[grpc_status_name(record.error)];
    return;
  }
  ++figures.rows;
  if (record.origin == Origin::kNode) ++figures.rows_from_node;
  figures.bound_ms_max = std::max(figures.bound_ms_max, record.bound_ms);
}

std::vector<std::string> OutageReport::violations() const {
  std::vector<std::string> found;
  for (size_t phase = 0; phase < kPhaseCount; ++phase) {
    const Figures& figures = figures_[phase];
    for (const auto& [kind, count] : figures.errors) {
      const bool is_allowed =
          (phase == kStopped || phase == kRecovering) && std::ranges::find(kAllowed, kind) != kAllowed.end();
      if (!is_allowed)
        found.push_back(fmt::format("{}: {} {} while {}", options_.part, count, kind, kPhaseNames[phase]));
    }
    const Duration limit = options_.deadline + kLatencyTolerance;
    if (figures.latency_us_max > limit.count()) {
      found.push_back(fmt::format("{}: a request took {:.0f} ms while {}, more than {} ms", options_.part,
                                  to_ms(figures.latency_us_max), kPhaseNames[phase], to_millis(limit)));
    }
    if (figures.rows == 0 && (phase == kBefore || phase == kHealthy)) {
      found.push_back(fmt::format("{}: no answer at all while {}", options_.part, kPhaseNames[phase]));
    }
  }
  if (stale_ > 0) found.push_back(fmt::format("{}: {} answers older than their bound", options_.part, stale_));
  if (wrong_ > 0) found.push_back(fmt::format("{}: {} answers wrong or without bound", options_.part, wrong_));
  return found;
}

nlohmann::json OutageReport::to_json() const {
  nlohmann::json phases = nlohmann::json::object();
  for (size_t phase = 0; phase < kPhaseCount; ++phase) {
    const Figures& figures = figures_[phase];
    phases[std::string(kPhaseNames[phase])] = {{"rows", figures.rows},
                                               {"rows_from_node", figures.rows_from_node},
                                               {"errors", figures.errors},
                                               {"latency_ms_max", to_ms(figures.latency_us_max)},
                                               {"bound_ms_max", figures.bound_ms_max}};
  }
  return {{"part", options_.part},
          {"stopped_seconds", static_cast<double>(options_.returned_us - options_.stopped_us) / 1e6},
          {"deadline_ms", to_millis(options_.deadline)},
          {"phases", phases},
          {"stale_beyond_bound", stale_},
          {"wrong", wrong_},
          {"violations", violations()}};
}

std::string OutageReport::to_table() const {
  std::string table = fmt::format("{} stopped for {:.1f} s\n", options_.part,
                                  static_cast<double>(options_.returned_us - options_.stopped_us) / 1e6);
  for (size_t phase = 0; phase < kPhaseCount; ++phase) {
    const Figures& figures = figures_[phase];
    std::string errors;
    for (const auto& [kind, count] : figures.errors) errors += fmt::format(" {} {}", kind, count);
    table += fmt::format(
        "  {:<11} {:>7} rows, {:5.1f} % from nodes   longest {:7.1f} ms   bound at most {:>6} ms   errors:{}\n",
        kPhaseNames[phase], figures.rows,
        figures.rows == 0 ? 0.0
                          : 100.0 * static_cast<double>(figures.rows_from_node) / static_cast<double>(figures.rows),
        to_ms(figures.latency_us_max), figures.bound_ms_max, errors.empty() ? " none" : errors);
  }
  for (const std::string& violation : violations()) table += fmt::format("  FAILED: {}\n", violation);
  return table;
}

}  // namespace tidemark::bench
