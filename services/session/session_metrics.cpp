#include "services/session/session_metrics.h"

#include <initializer_list>

namespace tidemark::session {
namespace {

using Kind = io::MetricFamily::Kind;
struct Labelled {
  const char* value;
  const std::atomic<uint64_t>& count;
};

io::MetricFamily one(const char* name, const char* help, Kind kind, double value) {
  return {name, help, kind, {{.value = value}}};
}

io::MetricFamily labelled(const char* name, const char* help, const char* label,
                          std::initializer_list<Labelled> parts) {
  io::MetricFamily family{name, help, Kind::kCounter};
  for (const Labelled& part : parts) {
    family.samples.push_back({.labels = {{label, part.value}}, .value = static_cast<double>(part.count.load())});
  }
  return family;
}

}  // namespace

std::vector<io::MetricFamily> SessionMetrics::snapshot() const {
  return {
      labelled("tidemark_session_touches_total", "Touches, by what became of them.", "outcome",
               {{"written", touches_written}, {"young", touches_young}, {"overtaken", touches_overtaken}}),
      labelled("tidemark_session_refused_total", "Sessions asked for that are not valid.", "reason",
               {{"absent", refused_absent}, {"ended", refused_ended}}),
      one("tidemark_session_confirmed_total", "Refusals that a moment's age could explain, asked again of the primary.",
          Kind::kCounter, static_cast<double>(confirmed)),
      one("tidemark_session_swept_total", "Sessions deleted after their end.", Kind::kCounter,
          static_cast<double>(swept)),
      labelled("tidemark_session_sweep_batches_total", "Batches of the sweep, by outcome.", "outcome",
               {{"ok", batches_ok}, {"busy", batches_busy}, {"failed", batches_failed}}),
      one("tidemark_session_sweep_is_behind", "1 if the last sweep left ended sessions behind.", Kind::kGauge,
          sweep_is_behind ? 1 : 0),
  };
}

}  // namespace tidemark::session
