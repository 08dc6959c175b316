#include "replication/io/shard_attach.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/parse.h"
#include "replication/io/pg_await.h"
#include "replication/wal/timeline_history.h"

namespace tidemark::replication::io {
namespace {

namespace asio = boost::asio;

constexpr Duration kQueryTimeout = std::chrono::seconds(5);
constexpr auto kStreamEndPoll = std::chrono::milliseconds(10);
constexpr int kStreamEndPolls = 100;
constexpr Duration kCreateSlotTimeout = std::chrono::seconds(60);  // waits for transactions that are running

std::unexpected<Error> at(std::string_view step, const Error& error) {
  return std::unexpected(error.with_context(step));
}

class Attaching : public std::enable_shared_from_this<Attaching> {
 public:
  Attaching(asio::io_context& context, AttachOptions options, const Keymap& keymap, StreamEvents events)
      : context_(context), options_(std::move(options)), keymap_(keymap), events_(std::move(events)) {}

  asio::awaitable<Result<Attachment>> run(std::shared_ptr<Attaching> self) {
    (void)self;  // keeps this alive
    Status observed = co_await open_observer();
    if (!observed) co_return fail_with(observed.error());
    Status fit = co_await check_tables();
    if (!fit) co_return fail_with(fit.error());
    Status streaming = co_await open_stream();
    if (!streaming) co_return fail_with(streaming.error());
    Status slot = co_await prepare_slot();
    if (!slot) co_return fail_with(slot.error());
    Status epoch = co_await open_incarnation();
    if (!epoch) co_return fail_with(epoch.error());
    co_await find_succession();
    Status started = co_await start_stream();
    if (!started) co_return fail_with(started.error());
    Status sampled = co_await take_sample();
    if (!sampled) co_return fail_with(sampled.error());
    co_return std::move(result_);
  }

 private:
  std::unexpected<Error> fail_with(const Error& error) {
    if (result_.observer) result_.observer->close();
    if (result_.stream) result_.stream->close();
    return std::unexpected(error);
  }

  std::shared_ptr<PgConnection> make_connection(bool is_replication) {
    return PgConnection::create(context_, {.conninfo = options_.conninfo,
                                           .user = options_.user,
                                           .passfile = options_.passfile,
                                           .application_name = "tidemark-invalidator",
                                           .is_replication = is_replication});
  }

  asio::awaitable<Result<PgRows>> ask(std::string sql) {
    auto rows = co_await await_query(result_.observer, sql, kQueryTimeout);
    co_return rows;
  }

  asio::awaitable<Status> open_observer() {
    result_.observer = make_connection(false);
    auto connected = co_await await_connect(result_.observer);
    if (!connected) co_return at("connect to the primary", connected.error());
    auto rows = co_await ask(primary_state_sql());
    if (!rows) co_return at("ask the primary's state", rows.error());
    auto state = read_primary_state(*rows);
    if (!state) co_return std::unexpected(state.error());
    if (state->is_in_recovery) {
      co_return fail(ErrorCode::kUnavailable, "the server that the topology calls primary is a replica");
    }
    result_.identity = state->identity;
    auto locked = co_await ask(try_lock_sql(options_.shard));
    if (!locked) co_return at("take the invalidator's lock", locked.error());
    if (locked->empty() || (*locked)[0].empty() || (*locked)[0][0] != "t") {
      co_return fail(ErrorCode::kAborted, "another invalidator is active for this shard");
    }
    co_return Status{};
  }

  asio::awaitable<Status> check_tables() {
    std::vector<std::string> tables, problems;
    for (const Family& family : keymap_.families()) {
      if (std::ranges::find(tables, family.table) == tables.end()) tables.push_back(family.table);
    }
    for (const std::string& table : tables) {
      auto rows = co_await ask(table_sql(table, options_.publication));
      if (!rows) co_return at("describe table " + table, rows.error());
      auto found = check_table(table, options_.publication, *rows, keymap_);
      problems.insert(problems.end(), found.begin(), found.end());
    }
    if (problems.empty()) co_return Status{};
    std::string text = "families cannot be kept fresh:";
    for (const std::string& problem : problems) text += " " + problem + ";";
    co_return fail(ErrorCode::kFailedPrecondition, text);
  }

  asio::awaitable<Status> open_stream() {
    result_.stream = make_connection(true);
    auto connected = co_await await_connect(result_.stream);
    if (!connected) co_return at("open the replication connection", connected.error());
    auto rows = co_await await_query(result_.stream, "IDENTIFY_SYSTEM", kQueryTimeout);
    if (!rows) co_return at("IDENTIFY_SYSTEM", rows.error());
    auto identity = read_identity(*rows);
    if (!identity) co_return std::unexpected(identity.error());
    if (*identity != result_.identity) {
      co_return fail(
          ErrorCode::kUnavailable,
          fmt::format("two servers answer: system {} timeline {} and system {} timeline {}", identity->system_id,
                      identity->timeline, result_.identity.system_id, result_.identity.timeline));
    }
    co_return Status{};
  }

  asio::awaitable<Result<std::optional<SlotState>>> ask_slot() {
    auto rows = co_await ask(slot_sql(options_.slot));
    if (!rows) co_return at("look for the slot", rows.error());
    co_return read_slot(*rows);
  }

  asio::awaitable<Status> prepare_slot() {
    auto slot = co_await ask_slot();
    if (!slot) co_return std::unexpected(slot.error());
    bool is_lost = *slot && ((*slot)->wal_status == "lost" || options_.is_slot_unusable);
    if (*slot && !is_lost) {
      if ((*slot)->plugin == "pgoutput" && (*slot)->is_of_this_database) co_return Status{};
      co_return fail(
          ErrorCode::kFailedPrecondition,
          fmt::format("slot \"{}\" belongs to plugin {} or another database; drop it or choose another --slot",
                      options_.slot, (*slot)->plugin));
    }
    if (is_lost) {
      auto dropped = co_await ask(drop_slot_sql(options_.slot));
      if (!dropped) co_return at("drop the lost slot", dropped.error());
    }
    auto created = co_await await_query(result_.stream, create_slot_command(options_.slot), kCreateSlotTimeout);
    if (!created) co_return at("create the slot", created.error());
    result_.is_slot_new = true;
    co_return Status{};
  }

  asio::awaitable<Status> open_incarnation() {
    auto rows = co_await ask(open_incarnation_sql());
    if (!rows) co_return at("open the incarnation", rows.error());
    auto epoch = rows->empty() || !(*rows)[0][0] ? std::nullopt : parse_u64(*(*rows)[0][0]);
    if (!epoch || *epoch == 0 || *epoch > UINT32_MAX) {
      co_return fail(ErrorCode::kInternal, "tidemark.open_incarnation() gave no epoch");
    }
    result_.db_epoch = static_cast<DbEpoch>(*epoch);
    co_return Status{};
  }

  // Without an answer the caches revalidate everything: nothing here is an error.
  asio::awaitable<void> find_succession() {
    auto rows = co_await ask(timeline_opening_sql());
    const auto opening = rows ? read_timeline_opening(*rows) : std::nullopt;
    if (!opening) co_return;
    const std::string command = fmt::format("TIMELINE_HISTORY {}", result_.identity.timeline);
    auto history = co_await await_query(result_.stream, command, kQueryTimeout);
    if (!history || history->empty() || history->front().size() < 2 || !history->front()[1]) co_return;
    const auto switch_lsn = end_of_timeline(*history->front()[1], opening->prev_timeline);
    if (!switch_lsn) co_return;
    result_.succession = Succession{opening->prev_epoch, *switch_lsn};
    opened_ = opening->opened;
  }

  asio::awaitable<Status> start_stream() {
    result_.stream->pause_copy(true);
    std::string command = start_replication_command(options_.slot, options_.publication);
    auto started = co_await await_copy(result_.stream, command, kQueryTimeout, stream_frames(events_));
    if (!started) co_return at("start the stream", started.error());
    auto slot = co_await ask_slot();
    if (!slot) co_return std::unexpected(slot.error());
    bool is_ours = *slot && (*slot)->active_pid == result_.stream->backend_pid();
    if (*slot && !is_ours && (*slot)->active_pid == 0) {
      // Nobody holds it: our stream has ended already, and says why as soon as it is read.
      Error reason = co_await why_stream_ended();
      co_return at("start the stream", reason);
    }
    if (!is_ours) {
      co_return fail(ErrorCode::kUnavailable, "the slot is not held by our own stream: two servers answer");
    }
    result_.confirmed = (*slot)->confirmed;
    if (result_.confirmed > opened_) result_.succession.reset();  // what lies between is known to its journal only
    co_return Status{};
  }

  asio::awaitable<Error> why_stream_ended() {
    auto told = std::make_shared<std::optional<Error>>();
    result_.stream->on_closed([told](Error error) { *told = std::move(error); });
    result_.stream->pause_copy(false);
    asio::steady_timer timer(context_);
    for (int i = 0; i < kStreamEndPolls && !*told; ++i) {
      timer.expires_after(kStreamEndPoll);
      co_await timer.async_wait(asio::use_awaitable);
    }
    if (*told) co_return **told;
    co_return Error{ErrorCode::kUnavailable, "the slot is held by nobody although the stream was started"};
  }

  asio::awaitable<Status> take_sample() {
    auto xid_rows = co_await ask(own_xid_sql());
    if (!xid_rows) co_return at("take an own xid", xid_rows.error());
    auto xid = xid_rows->empty() || !(*xid_rows)[0][0] ? std::nullopt : parse_u64(*(*xid_rows)[0][0]);
    if (!xid) co_return fail(ErrorCode::kInternal, "pg_current_xact_id() gave no number");
    result_.own_xid = *xid;
    auto rows = co_await ask(sample_sql());
    if (!rows) co_return at("sample", rows.error());
    auto sample = read_sample(*rows);
    if (!sample) co_return std::unexpected(sample.error());
    result_.sample = std::move(*sample);
    co_return Status{};
  }

  asio::io_context& context_;
  AttachOptions options_;
  const Keymap& keymap_;
  StreamEvents events_;
  Lsn opened_;
  Attachment result_;
};

}  // namespace

bool says_that_wal_is_gone(const Error& error) {
  return error.message.find("58P01") != std::string::npos;
}

void attach(asio::io_context& context, AttachOptions options, const Keymap& keymap, StreamEvents events,
            AttachHandler handler) {
  auto attaching = std::make_shared<Attaching>(context, std::move(options), keymap, std::move(events));
  auto done = [handler = std::move(handler)](std::exception_ptr failure, Result<Attachment> result) mutable {
    if (failure)
      handler(fail(ErrorCode::kInternal, "attach ended by an exception"));
    else
      handler(std::move(result));
  };
  asio::co_spawn(context, attaching->run(attaching), std::move(done));
}

}  // namespace tidemark::replication::io
