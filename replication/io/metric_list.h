// Builds a list of metric families sample by sample; samples of one name end up in one family.
//
// Threads: one.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/io/metrics.h"

namespace tidemark::replication::io {

class MetricList {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  explicit MetricList(std::vector<tidemark::io::MetricFamily>& out) : out_(out) {}

  void counter(const std::string& name, const std::string& help, Labels labels, double value) {
    add(tidemark::io::MetricFamily::Kind::kCounter, name, help, std::move(labels), value);
  }
  void gauge(const std::string& name, const std::string& help, Labels labels, double value) {
    add(tidemark::io::MetricFamily::Kind::kGauge, name, help, std::move(labels), value);
  }

 private:
  void add(tidemark::io::MetricFamily::Kind kind, const std::string& name, const std::string& help, Labels labels,
           double value) {
    for (auto& family : out_) {
      if (family.name == name) return family.samples.push_back({.labels = std::move(labels), .value = value});
    }
    out_.push_back({.name = name, .help = help, .kind = kind, .samples = {}});
    out_.back().samples.push_back({.labels = std::move(labels), .value = value});
  }

  std::vector<tidemark::io::MetricFamily>& out_;
};

}  // namespace tidemark::replication::io
