// Reads Prometheus's text format, as far as our own programs write it: `name{label="value",…} number` a line, #
// comments.
//
//     tidemark_hits_total{worker="0"} 17      sum("tidemark_hits_total") == 20
//     tidemark_hits_total{worker="1"} 3       sum("tidemark_hits_total", {{"worker", "1"}}) == 3
//
// Threads: a value. I/O: none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tidemark::bench {

class MetricsText {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

  // Refuses a line that is neither a sample nor a comment, naming it.
  static Result<MetricsText> parse(std::string_view text);

  bool has(std::string_view name) const;
  // Of all samples of that name that carry these labels; 0 if there is none.
  double sum(std::string_view name, const Labels& labels = {}) const;
  // The smallest of all samples of that name that carry these labels.
  std::optional<double> lowest(std::string_view name, const Labels& labels = {}) const;

  // A histogram's cumulative counts by upper edge, summed over all its samples: {le, count}, ascending; +Inf last.
  std::vector<std::pair<double, double>> buckets(std::string_view name, const Labels& labels = {}) const;

  // Appends the samples of another text (another process), so that sums run over both.
  void merge(const MetricsText& other);

 private:
  struct Sample {
    std::string name;
    std::map<std::string, std::string, std::less<>> labels;
    double value = 0;
  };
  bool matches(const Sample& sample, std::string_view name, const Labels& labels) const;
  static std::optional<Sample> parse_sample(std::string_view line);

  std::vector<Sample> samples_;
};

// The smallest upper edge that `quantile` of all values do not exceed, of the difference of two readings of a histogram
// (`before` may be empty); linear inside the bucket as Prometheus's histogram_quantile. NaN-free: 0 if nothing was
// counted.
double quantile_between(const std::vector<std::pair<double, double>>& before,
                        const std::vector<std::pair<double, double>>& after, double quantile);

}  // namespace tidemark::bench
