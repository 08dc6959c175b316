#include "bench/macro/zipf.h"

#include <algorithm>
#include <cmath>

#include "base/invariant.h"

namespace tidemark::bench {
namespace {

// log(1 + x) / x and (exp(x) - 1) / x, both continued through x = 0: so s = 1 needs no case of its own.
double log1p_over(double x) {
  return std::abs(x) > 1e-8 ? std::log1p(x) / x : 1 - x * (0.5 - x / 3);
}
double expm1_over(double x) {
  return std::abs(x) > 1e-8 ? std::expm1(x) / x : 1 + x * 0.5 * (1 + x / 3);
}

}  // namespace

Zipf::Zipf(uint64_t n, double s) : n_(n), s_(s) {
  INVARIANT(n >= 1 && s > 0, n, s);
  h_integral_x1_ = h_integral(1.5) - 1;
  h_integral_n_ = h_integral(static_cast<double>(n) + 0.5);
  shortcut_ = 2 - h_integral_inverse(h_integral(2.5) - h(2));
}

double Zipf::h(double x) const {
  return std::exp(-s_ * std::log(x));
}

double Zipf::h_integral(double x) const {
  const double log_x = std::log(x);
  return expm1_over((1 - s_) * log_x) * log_x;
}

double Zipf::h_integral_inverse(double x) const {
  const double t = std::max(x * (1 - s_), -1.0);
  return std::exp(log1p_over(t) * x);
}

uint64_t Zipf::sample(Random& random) const {
  while (true) {  // each turn is accepted with a probability above 0.9, whatever n and s are
    const double u = h_integral_n_ + random.uniform() * (h_integral_x1_ - h_integral_n_);
    const double x = h_integral_inverse(u);
    const double k = std::clamp(std::floor(x + 0.5), 1.0, static_cast<double>(n_));
    if (k - x <= shortcut_ || u >= h_integral(k + 0.5) - h(k)) return static_cast<uint64_t>(k);
  }
}

}  // namespace tidemark::bench
