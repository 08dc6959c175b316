// A Postgres snapshot as pg_current_snapshot() prints it: "xmin:xmax:xip,xip,…".
//
//   every xid <  xmin is visible if it committed; every xid >= xmax is not; those in between are visible
//   unless they stand in xip (still running when the snapshot was taken).
//
// Only a snapshot taken on a *primary* tells visibility: on a standby xip is empty and the test would lie.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/proof/lsn.h"

namespace tidemark {

struct PgSnapshot {
  Xid xmin = 0;
  Xid xmax = 0;
  std::vector<Xid> xip;  // ascending, each in [xmin, xmax)

  bool operator==(const PgSnapshot&) const = default;

  // Would the effects of a committed transaction `xid` be seen by a statement under this snapshot?
  bool sees(Xid xid) const;

  // True if everything that `earlier` sees, this snapshot sees too ("earlier is covered by this"):
  // xmax >= earlier.xmax, and nothing that was finished for `earlier` is still running here.
  bool covers(const PgSnapshot& earlier) const;

  std::string to_string() const;
  // At most kXipMax ids; unsorted, repeated or out-of-range ids are refused.
  static std::optional<PgSnapshot> parse(std::string_view text);
  static constexpr size_t kXipMax = 65536;
};

}  // namespace tidemark
