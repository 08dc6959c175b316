#include "base/invariant.h"

#include <cstdio>
#include <cstdlib>

namespace tidemark {

void invariant_failed(const char* condition, const char* file, int line, const std::string& values) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s;%s\n", file, line, condition, values.c_str());
  std::abort();
}

}  // namespace tidemark
