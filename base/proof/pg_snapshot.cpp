#include "base/proof/pg_snapshot.h"

#include <algorithm>

#include "base/parse.h"

namespace tidemark {

bool PgSnapshot::sees(Xid xid) const {
  if (xid < xmin) return true;
  if (xid >= xmax) return false;
  return !std::binary_search(xip.begin(), xip.end(), xid);
}

bool PgSnapshot::covers(const PgSnapshot& earlier) const {
  if (xmax < earlier.xmax) return false;
  for (Xid running : xip) {
    if (running < earlier.xmax && earlier.sees(running)) return false;
  }
  return true;
}

std::string PgSnapshot::to_string() const {
  std::string text = std::to_string(xmin) + ":" + std::to_string(xmax) + ":";
  for (size_t i = 0; i < xip.size(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(xip[i]);
  }
  return text;
}

std::optional<PgSnapshot> PgSnapshot::parse(std::string_view text) {
  auto parts = split(text, ':');
  if (parts.size() != 3) return std::nullopt;
  auto xmin = parse_u64(parts[0]);
  auto xmax = parse_u64(parts[1]);
  if (!xmin || !xmax || *xmin > *xmax) return std::nullopt;
  PgSnapshot snapshot{*xmin, *xmax, {}};
  if (parts[2].empty()) return snapshot;
  for (std::string_view piece : split(parts[2], ',')) {
    auto xid = parse_u64(piece);
    if (!xid || *xid < *xmin || *xid >= *xmax) return std::nullopt;
    if (!snapshot.xip.empty() && *xid <= snapshot.xip.back()) return std::nullopt;
    if (snapshot.xip.size() == kXipMax) return std::nullopt;
    snapshot.xip.push_back(*xid);
  }
  return snapshot;
}

}  // namespace tidemark
