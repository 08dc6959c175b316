#include "replication/io/pg_connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>

namespace tidemark::replication::io {
namespace {

namespace asio = boost::asio;
using ErrorCodeAsio = boost::system::error_code;

// Fixed, so that key text from the stream never depends on a role's or database's settings.
constexpr const char* kSessionOptions =
    "-c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=1 "
    "-c standard_conforming_strings=on -c synchronous_commit=local -c statement_timeout=0 "
    "-c idle_session_timeout=0 -c default_transaction_isolation=read\\ committed";

std::string trimmed(const char* text) {
  std::string result = text != nullptr ? text : "";
  while (!result.empty() && (result.back() == '\n' || result.back() == ' ')) result.pop_back();
  for (char& c : result) {
    if (c == '\n') c = ' ';
  }
  return result;
}

Error error_of(const PGresult* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  std::string sqlstate = state != nullptr ? state : "?????";
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  std::string message = sqlstate + ": " + trimmed(primary != nullptr ? primary : PQresultErrorMessage(result));
  if (const char* hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT)) message += std::string(" (") + hint + ")";
  ErrorCode code = ErrorCode::kInternal;
  if (sqlstate == "42501" || sqlstate.starts_with("28")) code = ErrorCode::kUnauthenticated;
  if (sqlstate == "55006" || sqlstate.starts_with("57P") || sqlstate.starts_with("08")) code = ErrorCode::kUnavailable;
  if (sqlstate.starts_with("SH")) code = ErrorCode::kFailedPrecondition;
  return {code, message};
}

PgRows rows_of(const PGresult* result) {
  PgRows rows(static_cast<size_t>(PQntuples(result)));
  for (size_t r = 0; r < rows.size(); ++r) {
    for (int c = 0; c < PQnfields(result); ++c) {
      int row = static_cast<int>(r);
      if (PQgetisnull(result, row, c))
        rows[r].emplace_back();
      else
        rows[r].emplace_back(std::in_place, PQgetvalue(result, row, c), PQgetlength(result, row, c));
    }
  }
  return rows;
}

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ResultDeleter>;

class Connection final : public PgConnection, public std::enable_shared_from_this<Connection> {
 public:
  Connection(asio::io_context& context, Options options)
      : context_(context), options_(std::move(options)), descriptor_(context), timer_(context) {}
  ~Connection() override { end(); }

  void connect(StatusHandler handler) override {
    connect_handler_ = std::move(handler);
    start_timer(options_.connect_timeout, "connect");
    if (Status status = begin_connect(); !status) {
      asio::post(context_, [self = shared_from_this(), error = status.error()] { self->fail_all(error); });
      return;
    }
    wait_connect(PGRES_POLLING_WRITING);
  }

  void query(std::string sql, Duration timeout, RowsHandler handler) override {
    enqueue({.sql = std::move(sql), .timeout = timeout, .handler = std::move(handler), .events = {}, .is_copy = false});
  }

  void start_copy(std::string command, Duration timeout, CopyEvents events, StatusHandler handler) override {
    auto on_rows = [done = std::move(handler)](Result<PgRows> rows) mutable {
      done(rows ? Status{} : Status(std::unexpected(rows.error())));
    };
    enqueue({.sql = std::move(command),
             .timeout = timeout,
             .handler = std::move(on_rows),
             .events = std::move(events),
             .is_copy = true});
  }

  void send_copy(std::string_view message) override {
    if (!is_copying_ || conn_ == nullptr) return;
    if (PQputCopyData(conn_, message.data(), static_cast<int>(message.size())) < 0) {
      asio::post(context_, [self = shared_from_this()] { self->lost("send"); });
      return;
    }
    asio::post(context_, [self = shared_from_this()] { self->flush(); });
  }

  void pause_copy(bool is_paused) override {
    bool resumes = is_paused_ && !is_paused;
    is_paused_ = is_paused;
    if (resumes && is_copying_) asio::post(context_, [self = shared_from_this()] { self->read_copy(); });
  }

  void on_closed(std::function<void(Error)> handler) override { closed_handler_ = std::move(handler); }
  int backend_pid() const override { return conn_ != nullptr ? PQbackendPID(conn_) : 0; }
  void close() override {
    closed_handler_ = nullptr;
    connect_handler_ = nullptr;
    queue_.clear();
    copy_events_.reset();
    end();
  }

 private:
  struct Query {
    std::string sql;
    Duration timeout{};
    RowsHandler handler;
    CopyEvents events;
    bool is_copy = false;
  };

  Status begin_connect() {
    char* message = nullptr;
    PQconninfoOption* parsed = PQconninfoParse(options_.conninfo.c_str(), &message);
    if (parsed == nullptr) {
      std::string text = trimmed(message);
      PQfreemem(message);
      return fail(ErrorCode::kInvalidArgument, "conninfo '" + options_.conninfo + "': " + text);
    }
    std::vector<std::pair<std::string, std::string>> settings;
    for (PQconninfoOption* option = parsed; option->keyword != nullptr; ++option) {
      if (option->val != nullptr) settings.emplace_back(option->keyword, option->val);
    }
    PQconninfoFree(parsed);
    settings.emplace_back("user", options_.user);
    if (!options_.passfile.empty()) settings.emplace_back("passfile", options_.passfile);
    settings.emplace_back("application_name", options_.application_name);
    settings.emplace_back("client_encoding", "UTF8");
    settings.emplace_back("options", kSessionOptions);
    if (options_.is_replication) settings.emplace_back("replication", "database");
    std::vector<const char*> keywords, values;  // of a repeated keyword libpq takes the last
    for (const auto& [keyword, value] : settings) {
      keywords.push_back(keyword.c_str());
      values.push_back(value.c_str());
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    conn_ = PQconnectStartParams(keywords.data(), values.data(), 0);
    if (conn_ == nullptr) return fail(ErrorCode::kResourceExhausted, "libpq is out of memory");
    if (PQstatus(conn_) == CONNECTION_BAD) return fail(ErrorCode::kUnavailable, trimmed(PQerrorMessage(conn_)));
    PQsetNoticeProcessor(conn_, [](void*, const char*) {}, nullptr);
    return {};
  }

  // libpq may use another socket after each poll (another host, another address).
  void adopt_socket() {
    int socket = PQsocket(conn_);
    if (descriptor_.is_open() && descriptor_.native_handle() == socket) return;
    if (descriptor_.is_open()) descriptor_.release();
    if (socket >= 0) descriptor_.assign(socket);
  }

  void wait_connect(PostgresPollingStatusType wanted) {
    adopt_socket();
    if (!descriptor_.is_open()) return lost("connect");
    auto direction = wanted == PGRES_POLLING_READING ? asio::posix::stream_descriptor::wait_read
                                                     : asio::posix::stream_descriptor::wait_write;
    descriptor_.async_wait(direction, [self = shared_from_this(), generation = generation_](ErrorCodeAsio error) {
      if (generation != self->generation_ || error == asio::error::operation_aborted) return;
      self->poll_connect();
    });
  }

  void poll_connect() {
    // The descriptor may be closed inside PQconnectPoll; Asio must have let go of it before.
    if (descriptor_.is_open()) descriptor_.release();
    PostgresPollingStatusType status = PQconnectPoll(conn_);
    if (status == PGRES_POLLING_FAILED) return lost("connect");
    if (status != PGRES_POLLING_OK) return wait_connect(status);
    adopt_socket();
    PQsetnonblocking(conn_, 1);
    timer_.cancel();
    is_open_ = true;
    wait_read();
    if (auto handler = std::exchange(connect_handler_, nullptr)) handler({});
    start_next();
  }

  void enqueue(Query query) {
    if (queue_.size() >= kQueriesMax || generation_ended_ || is_copying_) {
      auto code = queue_.size() >= kQueriesMax ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable;
      asio::post(context_, [handler = std::move(query.handler), code]() mutable {
        handler(fail(code, "connection takes no more queries"));
      });
      return;
    }
    queue_.push_back(std::move(query));
    asio::post(context_, [self = shared_from_this()] { self->start_next(); });
  }

  void start_next() {
    if (!is_open_ || is_running_ || queue_.empty()) return;
    is_running_ = true;
    rows_.clear();
    query_error_.reset();
    start_timer(queue_.front().timeout, "query");
    if (!PQsendQuery(conn_, queue_.front().sql.c_str())) return lost("query");
    flush();
  }

  void flush() {
    if (conn_ == nullptr || is_flushing_) return;
    int rest = PQflush(conn_);
    if (rest < 0) return lost("send");
    if (rest == 0) return;
    is_flushing_ = true;
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_write,
                           [self = shared_from_this(), generation = generation_](ErrorCodeAsio error) {
                             if (generation != self->generation_ || error) return;
                             self->is_flushing_ = false;
                             self->flush();
                           });
  }

  void wait_read() {
    if (std::exchange(is_read_waiting_, true)) return;
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [self = shared_from_this(), generation = generation_](ErrorCodeAsio error) {
                             if (generation != self->generation_ || error) return;
                             self->is_read_waiting_ = false;
                             self->on_readable();
                           });
  }

  void on_readable() {
    if (is_copying_ && is_paused_) return;  // pause_copy(false) goes on
    if (!PQconsumeInput(conn_)) return lost("read");
    flush();
    if (is_copying_) return read_copy();
    if (is_running_)
      read_results();
    else if (PQstatus(conn_) == CONNECTION_BAD)
      return lost("read");
    if (conn_ != nullptr && !is_copying_) wait_read();
  }

  void read_results() {
    while (conn_ != nullptr && is_running_ && !PQisBusy(conn_)) {
      ResultPtr result(PQgetResult(conn_));
      if (!result) return finish_query();
      switch (PQresultStatus(result.get())) {
        case PGRES_TUPLES_OK:
          rows_ = rows_of(result.get());
          break;
        case PGRES_COMMAND_OK:
        case PGRES_EMPTY_QUERY:
          break;
        case PGRES_COPY_BOTH:
          is_copying_ = true;
          copy_events_ = std::make_shared<CopyEvents>(std::move(queue_.front().events));
          finish_query();
          return read_copy();
        default:
          query_error_ = error_of(result.get());
      }
    }
  }

  void finish_query() {
    timer_.cancel();
    Query query = std::move(queue_.front());
    queue_.pop_front();
    is_running_ = false;
    if (query_error_ && PQstatus(conn_) == CONNECTION_BAD) {
      Error error = *query_error_;
      query.handler(std::unexpected(error));
      return fail_all(error);
    }
    if (query_error_)
      query.handler(std::unexpected(*std::exchange(query_error_, std::nullopt)));
    else if (query.is_copy && !is_copying_)
      query.handler(fail(ErrorCode::kInternal, "the server did not start copying"));
    else
      query.handler(std::move(rows_));
    if (!is_copying_) start_next();
  }

  void read_copy() {
    auto self = shared_from_this();
    auto events = copy_events_;
    size_t taken = 0;
    while (is_copying_ && taken < kBurstMax && !is_paused_) {
      char* buffer = nullptr;
      int size = PQgetCopyData(conn_, &buffer, 1);
      if (size == 0) break;
      if (size < 0) return copy_ended(size);
      ++taken;
      events->on_data(std::string_view(buffer, static_cast<size_t>(size)));
      PQfreemem(buffer);
    }
    if (is_copying_) events->on_burst_end();
    if (!is_copying_ || is_paused_) return;
    if (taken == kBurstMax) {
      asio::post(context_, [self] { self->read_copy(); });
    } else {
      wait_read();
    }
  }

  void copy_ended(int code) {
    ResultPtr result(code == -1 ? PQgetResult(conn_) : nullptr);
    bool has_error = result && PQresultStatus(result.get()) == PGRES_FATAL_ERROR;
    fail_all(has_error ? error_of(result.get())
                       : Error{ErrorCode::kUnavailable, "the stream ended: " + trimmed(PQerrorMessage(conn_))});
  }

  void start_timer(Duration timeout, std::string_view what) {
    timer_.expires_after(timeout);
    timer_.async_wait([self = shared_from_this(), what = std::string(what), timeout](ErrorCodeAsio error) {
      if (error || self->generation_ended_) return;
      self->fail_all({ErrorCode::kDeadlineExceeded, fmt::format("{}: no answer in {} ms", what, to_millis(timeout))});
    });
  }

  void lost(std::string_view doing) {
    if (generation_ended_) return;
    std::string text = conn_ != nullptr ? trimmed(PQerrorMessage(conn_)) : "closed";
    fail_all({ErrorCode::kUnavailable, fmt::format("{}: {}", doing, text)});
  }

  void fail_all(Error error) {
    auto self = shared_from_this();
    end();
    auto queue = std::exchange(queue_, {});
    auto connect_handler = std::exchange(connect_handler_, nullptr);
    auto closed_handler = std::exchange(closed_handler_, nullptr);
    if (connect_handler) connect_handler(std::unexpected(error));
    for (Query& query : queue) query.handler(std::unexpected(error));
    if (closed_handler) closed_handler(error);
  }

  void end() {
    ++generation_;
    generation_ended_ = true;
    is_open_ = is_running_ = is_copying_ = false;
    timer_.cancel();
    if (descriptor_.is_open()) descriptor_.release();  // libpq closes it
    if (conn_ != nullptr) PQfinish(std::exchange(conn_, nullptr));
  }

  asio::io_context& context_;
  Options options_;
  asio::posix::stream_descriptor descriptor_;
  asio::steady_timer timer_;
  PGconn* conn_ = nullptr;
  uint64_t generation_ = 0;
  bool generation_ended_ = false;
  bool is_open_ = false;
  bool is_running_ = false;
  bool is_flushing_ = false;
  bool is_copying_ = false;
  bool is_paused_ = false;
  bool is_read_waiting_ = false;
  std::deque<Query> queue_;
  PgRows rows_;
  std::optional<Error> query_error_;
  std::shared_ptr<CopyEvents> copy_events_;  // shared: a handler may close the connection, and must outlive that
  StatusHandler connect_handler_;
  std::function<void(Error)> closed_handler_;
};

}  // namespace

std::shared_ptr<PgConnection> PgConnection::create(boost::asio::io_context& context, Options options) {
  return std::make_shared<Connection>(context, std::move(options));
}

std::string quote_literal(std::string_view text) {
  std::string out = "'";
  for (char c : text) {
    out += c;
    if (c == '\'') out += c;
  }
  return out + "'";
}

}  // namespace tidemark::replication::io
