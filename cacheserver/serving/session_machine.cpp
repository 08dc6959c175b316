#include "cacheserver/serving/session_machine.h"

#include <algorithm>
#include <utility>

namespace tidemark::cacheserver {

// Charges time to commands. A run of the same fast command is timed as one, so that a pipeline of GETs reads the clock
// twice; every other command is timed alone.
class SessionMachine::RunTimer {
 public:
  RunTimer(Worker& worker, const Session& session, UnixMillis unix_now)
      : worker_(worker), session_(session), unix_now_(unix_now) {}
  ~RunTimer() { close(); }

  void before(uint32_t row, Arguments arguments) {
    bool continues =
        row == row_ && row != CommandTable::kNoRow && (worker_.dispatcher().table().spec(row).flags & kFast);
    if (!continues) {
      close();
      row_ = row;
      began_at_ = worker_.clock();
      calls_ = 0;
    }
    ++calls_;
    arguments_ = arguments;
  }

 private:
  void close() {
    if (row_ == CommandTable::kNoRow) return;
    auto micros = static_cast<uint64_t>(std::max<int64_t>(0, (worker_.clock() - began_at_).count()));
    WorkerView& view = worker_.view();
    view.command_stats()[row_].micros.add(micros);
    int64_t limit = view.config().slowlog_slower_than_us;
    bool is_secret = worker_.dispatcher().table().spec(row_).flags & kNoAuth;  // AUTH, HELLO: passwords
    if (limit < 0 || is_secret || micros / calls_ < static_cast<uint64_t>(limit)) return;
    view.slow_log().add(arguments_, micros / calls_, unix_now_, session_.peer_address, session_.name,
                        view.config().slowlog_entries_max);
  }

  Worker& worker_;
  const Session& session_;
  UnixMillis unix_now_;
  uint32_t row_ = CommandTable::kNoRow;
  Instant began_at_{};
  uint64_t calls_ = 0;
  Arguments arguments_;
};

SessionMachine::SessionMachine(Worker& worker, std::string peer_address, std::string local_address, Instant now)
    : worker_(worker) {
  session_.id = worker.next_session_id();
  session_.user = worker.view().needs_password() ? User::kNone : User::kDefault;
  session_.peer_address = std::move(peer_address);
  session_.local_address = std::move(local_address);
  session_.connected_at = session_.last_active_at = now;
  worker.view().sessions().emplace(session_.id, &session_);
}

SessionMachine::~SessionMachine() {
  worker_.view().sessions().erase(session_.id);
}

SessionMachine::Outcome SessionMachine::advance(std::string_view& input, std::string& out, Instant now,
                                                UnixMillis unix_now) {
  session_.last_active_at = now;
  while (!session_.is_closing) {
    RequestParser::Outcome parsed = parse_ahead(input);
    prefetch_keys();
    const size_t parsed_count = worker_.batch().size();
    size_t ran = run_batch(out, now, unix_now);
    if (session_.is_closing) break;
    if (ran < parsed_count) {
      // The replies fill the output: those not run yet are parsed again when there is room.
      input = worker_.inputs()[ran];
      parser_.forget();
      return Outcome::kOutputFull;
    }
    if (parsed == RequestParser::Outcome::kIncomplete) return Outcome::kNeedsInput;
    if (parsed == RequestParser::Outcome::kError) {
      worker_.view().stats().protocol_errors.add();
      RespWriter(out, session_.protocol).error(std::string("ERR ").append(parser_.error()));
      session_.is_closing = true;
    }
    if (out.size() >= worker_.view().config().output_pause_bytes && !session_.is_closing) return Outcome::kOutputFull;
  }
  return Outcome::kClosing;
}

RequestParser::Outcome SessionMachine::parse_ahead(std::string_view& input) {
  const CommandTable& table = worker_.dispatcher().table();
  RequestBatch& batch = worker_.batch();
  batch.clear();
  worker_.found().clear();
  worker_.inputs().clear();
  parser_.limits().bulk_bytes_max = worker_.view().config().bulk_bytes_max;
  parser_.limits().is_authenticated = session_.is_authenticated();
  // What AUTH changes holds for the very next request: before it, one at a time.
  const size_t batch_max = session_.is_authenticated() ? kBatchMax : 1;
  auto outcome = RequestParser::Outcome::kRequest;
  while (batch.size() < batch_max && outcome == RequestParser::Outcome::kRequest) {
    worker_.inputs().push_back(input);
    outcome = parser_.next(input, batch);
    if (outcome == RequestParser::Outcome::kRequest) worker_.found().push_back(table.find(batch[batch.size() - 1]));
  }
  return outcome;
}

void SessionMachine::prefetch_keys() {
  const RequestBatch& batch = worker_.batch();
  for (size_t i = 0; i < batch.size(); ++i) {
    CommandTable::Found found = worker_.found()[i];
    if (found.kind != CommandTable::Found::Kind::kCommand) continue;
    KeyPositions keys = key_positions(worker_.dispatcher().table().spec(found.row), batch[i].size());
    if (keys.empty() || (batch.size() == 1 && keys.first == keys.last)) continue;
    size_t left = kKeysPrefetchedMax;
    for (size_t at = keys.first; at <= keys.last && left > 0; at += keys.step, --left) {
      worker_.keyspace().prefetch(batch[i][at]);
    }
  }
}

size_t SessionMachine::run_batch(std::string& out, Instant now, UnixMillis unix_now) {
  const RequestBatch& batch = worker_.batch();
  WorkerView& view = worker_.view();
  RespWriter reply(out, session_.protocol);
  CommandContext context{worker_.keyspace(), worker_.freshness(), session_, view, reply, now, unix_now};
  RunTimer timer(worker_, session_, unix_now);
  size_t ran = 0;
  while (ran < batch.size() && !session_.is_closing) {
    if (ran > 0 && out.size() >= view.config().output_pause_bytes) break;
    run(context, batch[ran], worker_.found()[ran], timer);
    ++ran;
  }
  view.stats().commands_total.add(ran);
  session_.commands_total += ran;
  return ran;
}

void SessionMachine::run(CommandContext& context, Arguments arguments, CommandTable::Found found, RunTimer& timer) {
  timer.before(found.row, arguments);
  const bool was_asking = session_.is_asking;
  std::string& out = context.reply.buffer();
  const size_t begin = out.size();
  worker_.dispatcher().execute(context, found, arguments);
  if (was_asking) session_.is_asking = false;
  if (session_.reply_mode != ReplyMode::kOn) [[unlikely]]
    apply_reply_mode(out, begin);
}

void SessionMachine::apply_reply_mode(std::string& out, size_t begin) {
  out.resize(begin);
  switch (session_.reply_mode) {
    case ReplyMode::kOn:
    case ReplyMode::kOff:
      return;
    case ReplyMode::kSkipNext:
      session_.reply_mode = ReplyMode::kSkipThis;
      return;
    case ReplyMode::kSkipThis:
      session_.reply_mode = ReplyMode::kOn;
      return;
  }
}

}  // namespace tidemark::cacheserver
