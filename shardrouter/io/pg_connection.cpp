#include "shardrouter/io/pg_connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <list>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/invariant.h"
#include "base/parse.h"
#include "shardrouter/sql/sqlstate.h"

namespace tidemark::shardrouter {
namespace {

namespace asio = boost::asio;

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ResultDeleter>;

std::string trimmed(const char* text) {
  std::string_view view(text ? text : "");
  while (!view.empty() && (view.back() == '\n' || view.back() == ' ')) view.remove_suffix(1);
  std::string line(view);
  for (char& c : line)
    if (c == '\n') c = ' ';
  return line;
}

std::string field_of(const PGresult* result, int code) {
  return trimmed(PQresultErrorField(result, code));
}

ResultSet result_set_of(const PGresult* result) {
  ResultSet set;
  const int columns = PQnfields(result);
  const int rows = PQntuples(result);
  for (int c = 0; c < columns; ++c) set.columns.emplace_back(PQfname(result, c));
  set.rows.reserve(static_cast<size_t>(rows));
  for (int r = 0; r < rows; ++r) {
    auto& row = set.rows.emplace_back();
    row.reserve(static_cast<size_t>(columns));
    for (int c = 0; c < columns; ++c) {
      if (PQgetisnull(result, r, c))
        row.emplace_back(std::nullopt);
      else
        row.emplace_back(std::string(PQgetvalue(result, r, c), static_cast<size_t>(PQgetlength(result, r, c))));
    }
  }
  set.command_tag = PQcmdStatus(const_cast<PGresult*>(result));
  set.rows_affected = parse_i64(PQcmdTuples(const_cast<PGresult*>(result))).value_or(0);
  return set;
}

// Which statements are prepared on this connection, in the order of their last use.
class PreparedCache {
 public:
  struct Entry {
    std::string name;
    bool is_confirmed = false;  // the server has answered the Parse
    std::list<std::string>::iterator order;
  };

  Entry* find(const std::string& sql) {
    const auto it = entries_.find(sql);
    if (it == entries_.end()) return nullptr;
    order_.splice(order_.end(), order_, it->second.order);
    return &it->second;
  }
  Entry& add(const std::string& sql) {
    order_.push_back(sql);
    Entry& entry = entries_[sql];
    entry = {fmt::format("tm{}", ++names_), false, std::prev(order_.end())};
    return entry;
  }
  void remove(const std::string& sql) {
    const auto it = entries_.find(sql);
    if (it == entries_.end()) return;
    order_.erase(it->second.order);
    entries_.erase(it);
  }
  // The name of the one that was not used for longest.
  std::string evict() {
    const std::string sql = order_.front();
    std::string name = entries_.at(sql).name;
    remove(sql);
    return name;
  }
  size_t size() const { return entries_.size(); }
  void clear() {
    entries_.clear();
    order_.clear();
  }

 private:
  std::unordered_map<std::string, Entry> entries_;
  std::list<std::string> order_;
  uint64_t names_ = 0;
};

class PgConnectionImpl final : public PgConnection, public std::enable_shared_from_this<PgConnectionImpl> {
 public:
  PgConnectionImpl(asio::io_context& context, Options options)
      : context_(context), options_(std::move(options)), socket_(context), timer_(context) {}
  ~PgConnectionImpl() override { release(); }

  void connect(std::move_only_function<void(Status)> handler) override {
    INVARIANT(!pg_ && !is_closed_);
    connect_handler_ = std::move(handler);
    std::vector<const char*> names{"dbname"};
    std::vector<const char*> values{options_.conninfo.c_str()};
    for (const auto& [name, value] : options_.keywords) {
      names.push_back(name.c_str());
      values.push_back(value.c_str());
    }
    names.push_back(nullptr);
    values.push_back(nullptr);
    pg_ = PQconnectStartParams(names.data(), values.data(), /*expand_dbname=*/1);
    if (!pg_ || PQstatus(pg_) == CONNECTION_BAD) return finish_connect();
    PQsetNoticeProcessor(pg_, [](void*, const char*) {}, nullptr);
    timer_.expires_after(options_.connect_timeout);
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && self->connect_handler_)
        self->fail_connect(ErrorCode::kUnavailable, "no answer within the connect timeout");
    });
    await_connect(PGRES_POLLING_WRITING);
  }

  void set_on_closed(std::move_only_function<void(Error)> on_closed) override { on_closed_ = std::move(on_closed); }

  void run(Pipeline pipeline, Handler handler) override {
    INVARIANT(is_idle());
    pipeline_ = std::move(pipeline);
    handler_ = std::move(handler);
    commit_points_ = commit_points(pipeline_);
    results_.clear();
    error_.reset();
    has_committed_ = false;
    send_pipeline();
    if (is_closed_) return;
    flush();
    arm_read();
  }

  bool is_idle() const override { return is_open() && !handler_ && !is_rolling_back_; }
  bool is_open() const override { return pg_ && !is_closed_ && !connect_handler_; }

  void close() override {
    on_closed_ = nullptr;
    lose("connection closed by us");
  }

 private:
  // One thing the server will answer, in the order it was sent.
  struct Expected {
    enum class Kind : uint8_t { kPrepare, kStatement, kSync, kDeallocate, kRollback } kind;
    size_t statement = 0;
    std::string sql{};  // kPrepare
    bool is_answered = false;
  };

  // ------------------------------------------------------------------------------------------------------ connecting
  // libpq may change its socket between two polls (next address, TLS refused), so it is taken anew each time.
  bool take_socket() {
    if (socket_.is_open()) socket_.release();
    const int fd = PQsocket(pg_);
    if (fd < 0) return false;
    boost::system::error_code error;
    socket_.assign(fd, error);
    return !error;
  }

  void await_connect(PostgresPollingStatusType status) {
    if (!take_socket()) return finish_connect();
    const auto wait = status == PGRES_POLLING_READING ? asio::posix::stream_descriptor::wait_read
                                                      : asio::posix::stream_descriptor::wait_write;
    socket_.async_wait(wait, [self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && self->connect_handler_) self->poll_connect();
    });
  }

  void poll_connect() {
    const auto status = PQconnectPoll(pg_);
    if (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) return await_connect(status);
    finish_connect();
  }

  void finish_connect() {
    if (!pg_ || PQstatus(pg_) != CONNECTION_OK) {
      const std::string message = pg_ ? trimmed(PQerrorMessage(pg_)) : "out of memory";
      const bool is_auth = message.find("authentication failed") != std::string::npos ||
                           message.find("no password supplied") != std::string::npos;
      return fail_connect(is_auth ? ErrorCode::kUnauthenticated : ErrorCode::kUnavailable, message);
    }
    timer_.cancel();
    if (!take_socket() || PQsetnonblocking(pg_, 1) != 0 || PQenterPipelineMode(pg_) != 1)
      return fail_connect(ErrorCode::kUnavailable, "the connection broke while it was set up");
    arm_read();
    asio::post(context_, [handler = std::move(connect_handler_)]() mutable { handler({}); });
    connect_handler_ = nullptr;
  }

  void fail_connect(ErrorCode code, std::string message) {
    is_closed_ = true;
    timer_.cancel();
    release();
    asio::post(context_, [handler = std::move(connect_handler_), error = Error{code, std::move(message)}]() mutable {
      if (handler) handler(std::unexpected(std::move(error)));
    });
    connect_handler_ = nullptr;
  }

  // --------------------------------------------------------------------------------------------------------- sending
  void send_pipeline() {
    evict_for(pipeline_);
    size_t index = 0;
    for (const auto& group : pipeline_.groups) {
      for (const Statement& statement : group)
        if (!send_statement(statement, index++)) return lose(trimmed(PQerrorMessage(pg_)));
      if (!send_sync()) return;
    }
    if (expected_.empty()) finish_pipeline();
  }

  // Makes room before anything is sent: what is evicted later could belong to this very pipeline.
  void evict_for(const Pipeline& pipeline) {
    size_t fresh = 0;
    for (const auto& group : pipeline.groups)
      for (const Statement& statement : group)
        if (!prepared_.find(statement.sql)) ++fresh;
    bool any = false;
    while (prepared_.size() > 0 && prepared_.size() + std::min(fresh, kPreparedMax) > kPreparedMax) {
      const std::string sql = "DEALLOCATE " + prepared_.evict();
      if (PQsendQueryParams(pg_, sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) != 1) return;
      expected_.push_back({.kind = Expected::Kind::kDeallocate});
      any = true;
    }
    if (any) send_sync();
  }

  bool send_sync() {
    if (PQpipelineSync(pg_) != 1) {
      lose(trimmed(PQerrorMessage(pg_)));
      return false;
    }
    expected_.push_back({.kind = Expected::Kind::kSync});
    return true;
  }

  bool send_statement(const Statement& statement, size_t index) {
    std::vector<const char*> values;
    values.reserve(statement.params.size());
    for (const auto& param : statement.params) values.push_back(param ? param->c_str() : nullptr);
    const int count = static_cast<int>(values.size());
    PreparedCache::Entry* entry = prepared_.find(statement.sql);
    if (!entry && prepared_.size() < kPreparedMax) {
      entry = &prepared_.add(statement.sql);
      if (PQsendPrepare(pg_, entry->name.c_str(), statement.sql.c_str(), 0, nullptr) != 1) return false;
      expected_.push_back({.kind = Expected::Kind::kPrepare, .statement = index, .sql = statement.sql});
    }
    const int sent =
        entry ? PQsendQueryPrepared(pg_, entry->name.c_str(), count, values.data(), nullptr, nullptr, 0)
              : PQsendQueryParams(pg_, statement.sql.c_str(), count, nullptr, values.data(), nullptr, nullptr, 0);
    if (sent != 1) return false;
    expected_.push_back({.kind = Expected::Kind::kStatement, .statement = index});
    return true;
  }

  void flush() {
    const int left = PQflush(pg_);
    if (left < 0) return lose(trimmed(PQerrorMessage(pg_)));
    if (left == 0 || is_write_armed_) return;
    is_write_armed_ = true;
    socket_.async_wait(asio::posix::stream_descriptor::wait_write,
                       [self = shared_from_this()](const boost::system::error_code& error) {
                         self->is_write_armed_ = false;
                         if (!error && !self->is_closed_) self->flush();
                       });
  }

  // --------------------------------------------------------------------------------------------------------- reading
  // Always armed while open: an idle connection must notice that its server went away.
  void arm_read() {
    if (is_read_armed_ || is_closed_) return;
    is_read_armed_ = true;
    socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                       [self = shared_from_this()](const boost::system::error_code& error) {
                         self->is_read_armed_ = false;
                         if (!error && !self->is_closed_) self->on_readable();
                       });
  }

  void on_readable() {
    if (PQconsumeInput(pg_) != 1) return lose(trimmed(PQerrorMessage(pg_)));
    read_results();
    if (is_closed_) return;
    flush();  // a reply may have freed the way for what is not written yet
    arm_read();
  }

  void read_results() {
    while (!expected_.empty() && !is_closed_) {
      if (PQisBusy(pg_)) return;
      ResultPtr result(PQgetResult(pg_));
      if (result) {
        take_result(*result);
      } else {
        if (PQstatus(pg_) == CONNECTION_BAD) return lose(trimmed(PQerrorMessage(pg_)));
        // NULL closes the answers of one command; one before any answer means there is nothing to read yet.
        if (!expected_.front().is_answered) return;
        expected_.pop_front();
      }
    }
    if (is_closed_) return;
    if (expected_.empty() && handler_)
      finish_pipeline();
    else if (PQstatus(pg_) == CONNECTION_BAD)
      lose(trimmed(PQerrorMessage(pg_)));
  }

  void take_result(const PGresult& result) {
    Expected& front = expected_.front();
    switch (PQresultStatus(&result)) {
      case PGRES_PIPELINE_SYNC:
        if (front.kind != Expected::Kind::kSync) return lose("libpq and we disagree about the pipeline");
        expected_.pop_front();
        return;
      case PGRES_TUPLES_OK:
      case PGRES_COMMAND_OK:
      case PGRES_EMPTY_QUERY:
        front.is_answered = true;
        if (front.kind == Expected::Kind::kPrepare) {
          if (PreparedCache::Entry* entry = prepared_.find(front.sql)) entry->is_confirmed = true;
        } else if (front.kind == Expected::Kind::kStatement) {
          results_.push_back(result_set_of(&result));
          if (commit_points_[front.statement]) has_committed_ = true;
        }
        return;
      case PGRES_PIPELINE_ABORTED:
        front.is_answered = true;
        if (front.kind == Expected::Kind::kPrepare) prepared_.remove(front.sql);
        return;
      case PGRES_FATAL_ERROR:
        front.is_answered = true;
        return take_error(result, front);
      default:  // COPY and single-row modes are never asked for
        return lose(fmt::format("unexpected answer {}: COPY cannot be run in a pipeline",
                                PQresStatus(PQresultStatus(&result))));
    }
  }

  void take_error(const PGresult& result, const Expected& front) {
    if (front.kind == Expected::Kind::kPrepare) prepared_.remove(front.sql);
    if (front.kind != Expected::Kind::kPrepare && front.kind != Expected::Kind::kStatement) return;
    const std::string sqlstate = field_of(&result, PG_DIAG_SQLSTATE);
    std::string message = field_of(&result, PG_DIAG_MESSAGE_PRIMARY);
    if (message.empty()) message = trimmed(PQresultErrorMessage(&result));
    // The plans are out of date (a table changed, somebody ran DEALLOCATE): prepare all of them again.
    if (sqlstate == "0A000" || sqlstate == "26000") forget_plans_ = true;
    if (error_) return;
    if (sqlstate.empty()) return;  // libpq's own: the connection is lost, which lose() will say
    error_ = error_of_sqlstate(sqlstate, message, field_of(&result, PG_DIAG_MESSAGE_DETAIL));
    // Killed inside COMMIT: it may have happened (synchronous replication waits after the record is durable).
    if (is_connection_sqlstate(sqlstate) && front.statement < commit_points_.size() && commit_points_[front.statement])
      error_->code = ErrorCode::kOutcomeUnknown;
  }

  void finish_pipeline() {
    if (forget_plans_) {
      // Names are never used twice, so the server's copies only cost it memory until the session ends.
      prepared_.clear();
      forget_plans_ = false;
    }
    if (PQtransactionStatus(pg_) != PQTRANS_IDLE) {
      if (is_rolling_back_) return lose("the transaction did not end with ROLLBACK");
      is_rolling_back_ = true;
      if (PQsendQueryParams(pg_, "ROLLBACK", 0, nullptr, nullptr, nullptr, nullptr, 0) != 1)
        return lose(trimmed(PQerrorMessage(pg_)));
      expected_.push_back({.kind = Expected::Kind::kRollback});
      if (!send_sync()) return;
      if (!error_)
        error_ = Error{ErrorCode::kInvalidArgument, "the pipeline left its transaction open: end it with COMMIT"};
      return flush();
    }
    is_rolling_back_ = false;
    complete();
  }

  void complete() {
    auto handler = std::move(handler_);
    handler_ = nullptr;
    pipeline_ = {};
    if (!handler) return;
    Result<std::vector<ResultSet>> answer(std::move(results_));
    if (error_ && has_committed_ && error_->code != ErrorCode::kOutcomeUnknown)
      error_ = Error{ErrorCode::kOutcomeUnknown, "a write was committed, then: " + error_->to_string()};
    if (error_) answer = std::unexpected(*error_);
    results_.clear();
    asio::post(context_,
               [handler = std::move(handler), answer = std::move(answer)]() mutable { handler(std::move(answer)); });
  }

  // ---------------------------------------------------------------------------------------------------------- ending
  // True if a commit point was reached, or sent and never answered. A failed statement before it makes it certain that
  // it was not: the server skips the rest of the group.
  bool may_have_committed() const {
    if (has_committed_) return true;
    if (error_ && error_->code != ErrorCode::kOutcomeUnknown) return false;
    for (const bool point : commit_points_)
      if (point) return true;
    return false;
  }

  void lose(std::string why) {
    if (is_closed_) return;
    if (connect_handler_) return fail_connect(ErrorCode::kUnavailable, std::move(why));
    is_closed_ = true;
    timer_.cancel();
    release();
    expected_.clear();
    if (handler_) {
      if (!error_ || is_connection_loss(*error_) || may_have_committed())
        error_ = may_have_committed()
                     ? Error{ErrorCode::kOutcomeUnknown, "connection lost, the write may have happened: " + why}
                     : Error{ErrorCode::kUnavailable, "connection lost: " + why};
      complete();
    }
    if (on_closed_)
      asio::post(context_, [on_closed = std::move(on_closed_), why = std::move(why)]() mutable {
        on_closed({ErrorCode::kUnavailable, std::move(why)});
      });
    on_closed_ = nullptr;
  }

  static bool is_connection_loss(const Error& error) { return error.code == ErrorCode::kUnavailable; }

  // The descriptor is libpq's: Asio lets go of it before libpq closes it.
  void release() {
    if (socket_.is_open()) socket_.release();
    if (pg_) PQfinish(pg_);
    pg_ = nullptr;
  }

  asio::io_context& context_;
  const Options options_;
  asio::posix::stream_descriptor socket_;
  asio::steady_timer timer_;
  PGconn* pg_ = nullptr;
  bool is_closed_ = false;
  bool is_read_armed_ = false;
  bool is_write_armed_ = false;
  bool is_rolling_back_ = false;
  bool forget_plans_ = false;

  std::move_only_function<void(Status)> connect_handler_;
  std::move_only_function<void(Error)> on_closed_;

  // The running pipeline.
  Handler handler_;
  Pipeline pipeline_;
  std::vector<bool> commit_points_;
  std::deque<Expected> expected_;
  std::vector<ResultSet> results_;
  std::optional<Error> error_;
  bool has_committed_ = false;  // a commit point was answered
  PreparedCache prepared_;
};

}  // namespace

std::shared_ptr<PgConnection> PgConnection::create(asio::io_context& context, Options options) {
  return std::make_shared<PgConnectionImpl>(context, std::move(options));
}

}  // namespace tidemark::shardrouter
