#include "bench/macro/metrics_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/parse.h"

namespace tidemark::bench {
namespace {

std::optional<double> parse_number(std::string_view text) {
  if (text == "+Inf") return std::numeric_limits<double>::infinity();
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<MetricsText::Sample> MetricsText::parse_sample(std::string_view line) {
  Sample sample;
  size_t at = line.find_first_of("{ ");
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  sample.name = line.substr(0, at);
  if (line[at] == '{') {
    ++at;
    while (at < line.size() && line[at] != '}') {
      const size_t equals = line.find("=\"", at);
      if (equals == std::string_view::npos) return std::nullopt;
      const std::string name(line.substr(at, equals - at));
      std::string value;
      for (at = equals + 2; at < line.size() && line[at] != '"'; ++at) {
        if (line[at] == '\\' && at + 1 < line.size()) ++at;
        value += line[at];
      }
      if (at >= line.size()) return std::nullopt;
      sample.labels.emplace(name, value);
      ++at;
      if (at < line.size() && line[at] == ',') ++at;
    }
    if (at >= line.size()) return std::nullopt;
    ++at;
  }
  std::string_view rest = line.substr(at);
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  const auto value = parse_number(rest.substr(0, rest.find(' ')));  // a time stamp may follow
  if (!value) return std::nullopt;
  sample.value = *value;
  return sample;
}

Result<MetricsText> MetricsText::parse(std::string_view text) {
  MetricsText metrics;
  for (const std::string_view line : split(text, '\n')) {
    if (line.empty() || line.front() == '#') continue;
    auto sample = parse_sample(line);
    if (!sample) return fail(ErrorCode::kCorrupt, fmt::format("not a metric sample: '{}'", line.substr(0, 120)));
    metrics.samples_.push_back(std::move(*sample));
  }
  return metrics;
}

bool MetricsText::matches(const Sample& sample, std::string_view name, const Labels& labels) const {
  return sample.name == name && std::ranges::all_of(labels, [&](const auto& label) {
           const auto found = sample.labels.find(label.first);
           return found != sample.labels.end() && found->second == label.second;
         });
}

bool MetricsText::has(std::string_view name) const {
  return std::ranges::any_of(samples_, [&](const Sample& sample) { return sample.name == name; });
}

double MetricsText::sum(std::string_view name, const Labels& labels) const {
  double sum = 0;
  for (const Sample& sample : samples_) {
    if (matches(sample, name, labels)) sum += sample.value;
  }
  return sum;
}

std::optional<double> MetricsText::lowest(std::string_view name, const Labels& labels) const {
  std::optional<double> lowest;
  for (const Sample& sample : samples_) {
    if (matches(sample, name, labels)) lowest = std::min(lowest.value_or(sample.value), sample.value);
  }
  return lowest;
}

std::vector<std::pair<double, double>> MetricsText::buckets(std::string_view name, const Labels& labels) const {
  std::map<double, double> by_edge;
  const std::string bucket_name = fmt::format("{}_bucket", name);
  for (const Sample& sample : samples_) {
    if (!matches(sample, bucket_name, labels)) continue;
    const auto edge = sample.labels.find("le");
    if (edge == sample.labels.end()) continue;
    if (const auto number = parse_number(edge->second)) by_edge[*number] += sample.value;
  }
  return {by_edge.begin(), by_edge.end()};
}

void MetricsText::merge(const MetricsText& other) {
  samples_.insert(samples_.end(), other.samples_.begin(), other.samples_.end());
}

double quantile_between(const std::vector<std::pair<double, double>>& before,
                        const std::vector<std::pair<double, double>>& after, double quantile) {
  std::map<double, double> counts(after.begin(), after.end());
  for (const auto& [edge, count] : before) counts[edge] -= count;
  if (counts.empty() || counts.rbegin()->second <= 0) return 0;
  const double wanted = quantile * counts.rbegin()->second;
  double edge_before = 0, count_before = 0;
  for (const auto& [edge, count] : counts) {
    if (count >= wanted) {
      if (std::isinf(edge) || count <= count_before) return edge_before;
      return edge_before + (edge - edge_before) * (wanted - count_before) / (count - count_before);
    }
    edge_before = edge;
    count_before = count;
  }
  return edge_before;
}

}  // namespace tidemark::bench
