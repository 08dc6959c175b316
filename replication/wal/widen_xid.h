// pgoutput sends 32 bits of a 64-bit transaction id; this finds the other 32.
//
// All xids that Postgres still has to do with lie within 2^31 of the next one (its wraparound rule), so the right xid
// is the one with these low bits that is nearest to any recent 64-bit xid. When `reference` is exactly the next xid,
// this is "the largest xid <= next with those low bits"; being symmetric it stays right while the reference lags behind
// the stream (a snapshot's xmax does not yet count a transaction that hangs in its commit) and while the stream lags.
// The stream's own order must not be used: commit order is not xid order.
#pragma once

#include <cstdint>

#include "base/proof/lsn.h"

namespace tidemark::replication {

//   widen_xid(0xfffffff8, 0x5'00000008) == 0x4'fffffff8      widen_xid(3, 0x4'fffffffe) == 0x5'00000003
inline Xid widen_xid(uint32_t low, Xid reference) {
  auto distance = static_cast<int32_t>(low - static_cast<uint32_t>(reference));
  if (distance < 0 && reference < static_cast<Xid>(-static_cast<int64_t>(distance)))
    return low;  // below the first epoch
  return reference + static_cast<Xid>(static_cast<int64_t>(distance));
}

}  // namespace tidemark::replication
