// The part of a session that knows of sibling workers: requests for other workers' keys, and replies in request order.
#include <fmt/format.h>

#include "cacheserver/serving/routing.h"
#include "cacheserver/serving/session_machine.h"

namespace tidemark::cacheserver {

bool SessionMachine::run_or_forward(CommandContext& context, const RequestRound& round, size_t i) {
  if (pending_.is_merging()) return false;
  const CommandTable& table = worker_.dispatcher().table();
  const Arguments arguments = round.arguments(i);
  const Route route = session_.is_authenticated() ? route_of(table, round, i, worker_.view()) : Route{};
  switch (route.kind) {
    case Route::Kind::kHere:
      // What has no key may change the session or look at it: it runs behind all that came before.
      if (!pending_.empty() && !route.has_keys) return false;
      pending_.empty() ? run(context, arguments, round.found(i))
                       : run_beside_pending(context, round.found(i), arguments);
      return true;
    case Route::Kind::kOwner: {
      const uint32_t index = pending_.expect(route.owner);
      worker_.forwarding()->add(route.owner, session_, index, bytes_of(round, i));
      worker_.view().stats().forwarded_away.add();
      return true;
    }
    case Route::Kind::kParts:
      if (!pending_.empty()) return false;
      run_parts(context, round.found(i), arguments);
      return true;
    case Route::Kind::kRefused:
      if (!pending_.empty()) return false;
      context.reply.error(
          fmt::format("CROSSSLOT the keys of '{}' are on different workers of this node; give them the "
                      "same tag in braces",
                      table.spec(round.found(i).row).name));
      return true;
  }
  return true;
}

// A request for this worker's keys whose reply has to wait for those before it.
void SessionMachine::run_beside_pending(CommandContext& context, CommandTable::Found found, Arguments arguments) {
  std::string out;
  RespWriter reply(out, session_.protocol);
  CommandContext beside{context.keyspace, context.freshness, session_, context.worker, reply,
                        context.now,      context.unix_now};
  worker_.timer().before(found.row, arguments, session_, context.unix_now);
  worker_.dispatcher().execute(beside, found, arguments);
  pending_.answer(pending_.expect(worker_.forwarding()->self()), out);
}

void SessionMachine::run_parts(CommandContext& context, CommandTable::Found found, Arguments arguments) {
  Forwarding& forwarding = *worker_.forwarding();
  const RequestParts parts = parts_of(worker_.dispatcher().table(), found, arguments, worker_.view());
  pending_.merge_as(parts.merge, forwarding.workers());
  for (const RequestParts::Part& part : parts.parts) {
    if (part.owner == forwarding.self()) {
      run_beside_pending(context, found, part.arguments);
      continue;
    }
    forwarding.add(part.owner, session_, pending_.expect(part.owner), Arguments(part.arguments));
    worker_.view().stats().forwarded_away.add();
  }
  worker_.timer().stop();  // it names the last part
}

std::string_view SessionMachine::bytes_of(const RequestRound& round, size_t i) const {
  const std::string_view from = round.input(i);
  const char* end = i + 1 < first_ + count_ ? round.input(i + 1).data() : rest_.data();
  return from.substr(0, static_cast<size_t>(end - from.data()));
}

bool SessionMachine::take_answer(uint32_t index, std::string_view reply) {
  pending_.answer(index, reply);
  return !pending_.is_waiting();
}

void SessionMachine::deliver_pending(ReplyBuffer& out) {
  pending_.deliver([&](std::string_view reply) {
    const size_t begin = out.bytes().size();
    out.bytes().append(reply);
    if (session_.reply_mode != ReplyMode::kOn) apply_reply_mode(out, begin);
  });
}

}  // namespace tidemark::cacheserver
