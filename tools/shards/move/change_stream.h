// The logical stream of a move's slot: frames in, pgoutput messages out, positions confirmed by the caller.
//
// Before a commit is handed out its position is known (Begin carries it), so that the reader can stop exactly in front
// of a position: next() gives nothing beyond `stop_at` until it is lifted. Threads: one. Limits: one message is held.
#pragma once

#include <optional>
#include <string>

#include "base/proof/lsn.h"
#include "tools/shards/move/pg_link.h"

namespace tidemark::shards {

class ChangeStream {
 public:
  static Result<ChangeStream> start(PgLink link, const std::string& slot, const std::string& publication, Lsn from);

  // The next pgoutput message; nothing: none has arrived, or the next commit is at or beyond stop_at. Valid until the
  // next call.
  Result<std::optional<std::string_view>> next();

  void stop_at(std::optional<Lsn> position) { stop_at_ = position; }
  // Everything before this position has been handed out.
  bool has_reached(Lsn position) const;
  // How far the server has sent.
  Lsn received() const { return received_; }
  bool is_in_transaction() const { return is_in_transaction_; }

  // `confirmed`: what the server may forget. With wants_reply it answers with its position at once.
  Status send_status(Lsn confirmed, bool wants_reply);
  int socket() const { return link_.socket(); }

 private:
  explicit ChangeStream(PgLink link) : link_(std::move(link)) {}
  struct Free {
    void operator()(char* text) const;
  };
  PgLink link_;
  std::unique_ptr<char, Free> frame_;  // the one handed out, or held
  size_t frame_size_ = 0;
  bool is_held_ = false;
  bool is_in_transaction_ = false;
  Lsn received_;
  Lsn idle_until_;  // nothing before it is missing: of a keepalive outside a transaction
  Lsn confirmed_;
  std::optional<Lsn> stop_at_;
};

}  // namespace tidemark::shards
