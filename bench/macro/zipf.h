// Exact samples of a Zipf law: rank k of 1..n with probability proportional to 1 / k^s, in constant time and memory.
//
// Rejection-inversion of W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from monotone discrete
// distributions" (1996): the histogram is enclosed by the integral of x^-s, whose inverse is known. It accepts more
// than nine draws of ten, so it needs no table of n entries as the alias method does. s = 1 uses the logarithm.
//
// Threads: a plain value; the generator is the caller's. I/O: none.
#pragma once

#include <cstdint>

#include "bench/macro/random.h"

namespace tidemark::bench {

class Zipf {
 public:
  // Requires n >= 1 and s > 0.
  Zipf(uint64_t n, double s);

  // A rank in [1, n]; 1 is the most popular.
  uint64_t sample(Random& random) const;

 private:
  double h(double x) const;                   // the density
  double h_integral(double x) const;          // its integral
  double h_integral_inverse(double x) const;  // and the inverse of that

  uint64_t n_;
  double s_;
  double h_integral_x1_;
  double h_integral_n_;
  double shortcut_;
};

}  // namespace tidemark::bench
