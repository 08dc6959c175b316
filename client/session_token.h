// What a session has written and read, so that whoever answers it next shows it nothing older.
//
//   auto session = std::make_shared<Session>();
//   products.sync().update({"bash"}, …, {.session = session});      absorbs the commit: shard 1, epoch 3, LSN 0/500
//   products.sync().get({"bash"}, {.session = session});            answered by who has 0/500 of shard 1, or more
//   session->to_text(key)  ->  "AQUBAwWA…"                          travels as metadata `x-tidemark-token`
//
// Per shard two positions are kept apart. `own`: up to here stands what the session wrote, or read on the primary; the
// primary shows all that for certain. `read`: up to here stands what it read from a node or a replica, which may show a
// commit before the primary does (a commit that waits for a synchronous standby): a primary must prove that it has it.
// A cache node or a replica serves the session iff it has both. Positions of two db_epochs are never compared: the
// newer one replaces the older, and for what was written before it the primary of the new epoch decides.
//
// More than kShardsMax shards: one that the session wrote to stays before one that it only read, then the newer before
// the older. A dropped shard that was written leaves a mark, and every shard that is not listed is then read on the
// primary, which needs no position to show a session its own writes: read-your-writes holds always, and costs. One that
// was only read leaves nothing: its reads stay within their max_stale, but may go backwards; monotonic reads hold for
// the listed shards. Both are counted (drops()). Of a write with an unknown outcome nothing is promised.
//
// On the wire (docs/PROTOCOL.md, "Session tokens"): version and kinds, per shard varints (shard, db_epoch, own, read),
// then 8 bytes of HMAC-SHA256; at most 64 bytes in all, as base64url. The MAC keeps strangers from sending the
// session's reads to the primary at will; a token holds no secret. Threads: SessionToken is a value; Session: any. I/O:
// none.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/proof/lsn.h"
#include "base/result.h"

namespace tidemark::client {

class CommitToken;

// The secret that all services of a system share; from a file (services: --token-key-file).
class TokenKey {
 public:
  static constexpr size_t kBytesMin = 32;

  static Result<TokenKey> of_bytes(std::string bytes);  // kInvalidArgument: shorter than kBytesMin
  static TokenKey random();                             // of this process only
  std::string_view bytes() const { return bytes_; }

 private:
  explicit TokenKey(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string bytes_;
};

struct SessionPosition {
  ShardId shard = 0;
  DbEpoch db_epoch = 0;
  Lsn own;                  // zero: none
  Lsn read;                 // zero: none
  bool is_written = false;  // `own` covers a write, not only reads on the primary

  Lsn needed() const { return own > read ? own : read; }  // of a node or a replica
  bool operator==(const SessionPosition&) const = default;
};

class SessionToken {
 public:
  static constexpr size_t kShardsMax = 3;
  static constexpr size_t kBytesMax = 64;
  static constexpr size_t kTextBytesMax = 86;  // base64url of 64 bytes

  void absorb_write(ShardId shard, DbEpoch db_epoch, Lsn lsn);
  // `hi`: no commit beyond it was in what was read.
  void absorb_read(ShardId shard, DbEpoch db_epoch, Lsn hi, bool is_visible_on_primary);
  // The primary of this epoch shows every commit up to `lsn`: what was read up to there is as good as read on it.
  void absorb_proven(ShardId shard, DbEpoch db_epoch, Lsn lsn);
  void absorb(const SessionToken& other);

  // What must be found again of a shard; nothing: the session never wrote or read there, as far as it remembers.
  std::optional<SessionPosition> find(ShardId shard) const;
  // True: a shard that is not found may hold own writes all the same; read it on the primary.
  bool has_forgotten_writes() const { return has_forgotten_writes_; }
  bool is_empty() const { return positions_.empty() && !has_forgotten_writes_; }
  std::span<const SessionPosition> positions() const { return positions_; }  // newest first

  struct Drops {
    uint64_t written = 0, read = 0;  // shards too many
  };
  const Drops& drops() const { return drops_; }

  // Without the MAC; what of it does not fit is folded so that it demands more, never less (own becomes read).
  std::string encode() const;
  // kInvalidArgument: of another version, or not of this form.
  static Result<SessionToken> decode(std::string_view bytes);

  std::string to_text(const TokenKey& key) const;  // empty for an empty token
  // kInvalidArgument: too long, not base64url, MAC of another key, or as decode(). Empty text is an empty token.
  static Result<SessionToken> from_text(std::string_view text, const TokenKey& key);

  bool operator==(const SessionToken& other) const {
    return positions_ == other.positions_ && has_forgotten_writes_ == other.has_forgotten_writes_;
  }

 private:
  void absorb(const SessionPosition& position);
  void drop_surplus();

  std::vector<SessionPosition> positions_;  // newest first, at most kShardsMax, of different shards
  bool has_forgotten_writes_ = false;
  Drops drops_;
};

// A token that many calls of one session share. Calls that run side by side promise nothing to each other; a call sees
// all that ended before it began.
class Session {
 public:
  Session();
  explicit Session(SessionToken token);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // A bad token is an error for whoever wants to know; a service goes on with a new session and counts it.
  static Result<std::shared_ptr<Session>> from_text(std::string_view text, const TokenKey& key);

  void absorb(const CommitToken& commit);
  void absorb_read(ShardId shard, DbEpoch db_epoch, Lsn hi, bool is_visible_on_primary);
  void absorb_proven(ShardId shard, DbEpoch db_epoch, Lsn lsn);
  void absorb(const SessionToken& token);

  SessionToken token() const;
  std::string to_text(const TokenKey& key) const { return token().to_text(key); }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tidemark::client
