#include "cacheserver/serving/session_machine.h"

#include <algorithm>
#include <utility>

namespace tidemark::cacheserver {

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

SessionMachine::Outcome SessionMachine::advance(std::string_view& input, ReplyBuffer& out, Instant now,
                                                UnixMillis unix_now) {
  session_.last_active_at = now;
  if (pending_.is_waiting()) return Outcome::kWaiting;
  rest_ = input;
  const size_t begin = out.size();
  if (!pending_.empty()) deliver_pending(out);
  const Outcome outcome = go_on(out, begin, now, unix_now);
  input = rest_;
  return outcome;
}

// Requests that go to siblings need their bytes in one piece.
size_t SessionMachine::value_bytes() const {
  if (parser_.argument_bytes() < kFarValueBytes || parser_.has_supplied() || parser_.partial().size() < 2) return 0;
  if (worker_.forwarding() != nullptr || session_.is_closing) return 0;
  const CommandTable& table = worker_.dispatcher().table();
  const CommandTable::Found found = table.find(parser_.partial());
  const bool may_keep = found.kind == CommandTable::Found::Kind::kCommand && (table.spec(found.row).flags & kDenyOom);
  return may_keep ? parser_.argument_bytes() : 0;
}

void SessionMachine::prepare(std::string_view input) {
  parse_ahead(worker_.shared_round(), input);
}

SessionMachine::Outcome SessionMachine::run_prepared(std::string_view& input, ReplyBuffer& out, Instant now,
                                                     UnixMillis unix_now) {
  session_.last_active_at = now;
  const size_t begin = out.size();
  std::optional<Outcome> outcome = run_parsed(worker_.shared_round(), out, begin, now, unix_now);
  if (!outcome) outcome = go_on(out, begin, now, unix_now);
  input = rest_;
  return *outcome;
}

SessionMachine::Outcome SessionMachine::go_on(ReplyBuffer& out, size_t begin, Instant now, UnixMillis unix_now) {
  RequestRound& round = worker_.own_round();
  while (!session_.is_closing) {
    parse_ahead(round, rest_);
    round.load(worker_.keyspace());
    const std::optional<Outcome> outcome = run_parsed(round, out, begin, now, unix_now);
    worker_.finish(round);
    if (outcome) return *outcome;
  }
  return Outcome::kClosing;
}

void SessionMachine::parse_ahead(RequestRound& round, std::string_view input) {
  parser_.limits().bulk_bytes_max = worker_.view().config().bulk_bytes_max;
  parser_.limits().is_authenticated = session_.is_authenticated();
  // What AUTH changes holds for the very next request: before it, one at a time.
  const size_t count_max = session_.is_authenticated() ? RequestRound::kRequestsMax : 1;
  first_ = round.size();
  count_ = 0;
  parsed_ = RequestParser::Outcome::kRequest;
  while (parsed_ == RequestParser::Outcome::kRequest && count_ < count_max && !round.is_full()) {
    parsed_ = round.parse(parser_, input);
    count_ = round.size() - first_;
  }
  rest_ = input;
}

std::optional<SessionMachine::Outcome> SessionMachine::run_parsed(RequestRound& round, ReplyBuffer& out, size_t begin,
                                                                  Instant now, UnixMillis unix_now) {
  if (session_.is_closing) return Outcome::kClosing;
  const size_t ran = run_requests(round, out, begin, now, unix_now);
  if (session_.is_closing) return Outcome::kClosing;
  if (!pending_.empty()) {
    // What has not run, or is broken, is parsed again when the replies are there.
    if (ran < count_) rest_ = round.input(first_ + ran);
    if (ran < count_ || parsed_ == RequestParser::Outcome::kError) parser_.forget();
    if (pending_.is_waiting()) return Outcome::kWaiting;
    deliver_pending(out);
    if (ran < count_ || parsed_ == RequestParser::Outcome::kError) return std::nullopt;
  }
  if (ran < count_) {
    // The replies fill the output: those not run yet are parsed again when there is room.
    rest_ = round.input(first_ + ran);
    parser_.forget();
    return Outcome::kOutputFull;
  }
  if (parsed_ == RequestParser::Outcome::kIncomplete) return Outcome::kNeedsInput;
  if (parsed_ == RequestParser::Outcome::kError) {
    worker_.view().stats().protocol_errors.add();
    RespWriter(out.bytes(), session_.protocol).error(std::string("ERR ").append(parser_.error()));
    session_.is_closing = true;
    return Outcome::kClosing;
  }
  if (out.size() - begin >= worker_.view().config().output_pause_bytes) return Outcome::kOutputFull;
  return std::nullopt;
}

size_t SessionMachine::run_requests(RequestRound& round, ReplyBuffer& out, size_t begin, Instant now,
                                    UnixMillis unix_now) {
  WorkerView& view = worker_.view();
  RespWriter reply(out.bytes(), session_.protocol);
  CommandContext context{worker_.keyspace(), worker_.freshness(), session_, view, reply, now, unix_now, &out};
  size_t ran = 0;
  while (ran < count_ && !session_.is_closing) {
    if (ran > 0 && out.size() - begin + pending_.bytes() >= view.config().output_pause_bytes) break;
    context.keyspace.expect(round.refs(first_ + ran));
    if (worker_.forwarding() == nullptr) [[likely]] {
      run(context, round.arguments(first_ + ran), round.found(first_ + ran));
    } else if (!run_or_forward(context, round, first_ + ran)) {
      break;
    }
    ++ran;
  }
  context.keyspace.expect({});
  view.stats().commands_total.add(ran);
  session_.commands_total += ran;
  return ran;
}

void SessionMachine::run(CommandContext& context, Arguments arguments, CommandTable::Found found) {
  worker_.timer().before(found.row, arguments, session_, context.unix_now);
  const bool was_asking = session_.is_asking;
  const size_t begin = context.reply.buffer().size();
  worker_.dispatcher().execute(context, found, arguments);
  if (was_asking) session_.is_asking = false;
  if (session_.reply_mode != ReplyMode::kOn) [[unlikely]]
    apply_reply_mode(*context.replies, begin);
}

void SessionMachine::apply_reply_mode(ReplyBuffer& out, size_t begin) {
  out.cut(begin);
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
