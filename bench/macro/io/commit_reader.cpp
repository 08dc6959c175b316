#include "bench/macro/io/commit_reader.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <atomic>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <optional>
#include <thread>

#include "base/proof/lsn.h"

namespace tidemark::bench {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct CloseConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, CloseConnection>;
using ResultRows = std::unique_ptr<PGresult, ClearResult>;

std::string trimmed(const char* message) {
  std::string text = message == nullptr ? "" : message;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Result<Connection> connect(const std::string& conninfo) {
  Connection connection(PQconnectdb(conninfo.c_str()));
  if (PQstatus(connection.get()) != CONNECTION_OK) {
    return fail(ErrorCode::kUnavailable, "the oracle's connection: " + trimmed(PQerrorMessage(connection.get())));
  }
  return connection;
}

Result<ResultRows> query(PGconn* connection, const std::string& sql) {
  ResultRows rows(PQexec(connection, sql.c_str()));
  const auto status = PQresultStatus(rows.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    return fail(PQstatus(connection) == CONNECTION_OK ? ErrorCode::kInternal : ErrorCode::kUnavailable,
                "the oracle's slot: " + trimmed(PQerrorMessage(connection)));
  }
  return rows;
}

class Reader final : public CommitReader {
 public:
  explicit Reader(Options options) : options_(std::move(options)), stream_(options_.stream) {}

  ~Reader() override {
    stop();
    if (auto connection = connect(options_.conninfo)) {
      (void)query(connection->get(), fmt::format("SELECT pg_drop_replication_slot('{}')", options_.slot));
    }
  }

  Status begin() {
    auto connection = connect(options_.conninfo);
    if (!connection) return std::unexpected(connection.error());
    connection_ = std::move(*connection);
    auto created =
        query(connection_.get(),
              fmt::format("SELECT pg_create_logical_replication_slot('{}', 'test_decoding')", options_.slot));
    if (!created) return std::unexpected(created.error());
    thread_ = std::thread([this] { follow(); });
    return {};
  }

  Result<std::vector<RowCommit>> finish(milliseconds timeout) override {
    stop();
    const auto deadline = Clock::now() + timeout;
    while (!broken_) {
      const auto changes = read_once();
      if (changes && *changes == 0) return std::move(commits_);
      if (Clock::now() > deadline) {
        return fail(ErrorCode::kDeadlineExceeded,
                    fmt::format("the oracle's slot was not read to its end in {} ms: {}", timeout.count(),
                                changes ? "commits keep coming" : changes.error().message));
      }
      if (!changes) std::this_thread::sleep_for(kReadInterval);
    }
    return std::unexpected(*broken_);
  }

  uint64_t commits() const override { return count_.load(); }

 private:
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      is_stopped_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  void follow() {
    while (!broken_) {
      const auto changes = read_once();
      if (changes && *changes >= kChangesPerRead) continue;  // there is more
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, kReadInterval, [this] { return is_stopped_; })) return;
    }
  }

  // How many changes the slot gave. A failed connection is made anew at the next call.
  Result<int> read_once() {
    if (connection_ == nullptr) {
      auto connection = connect(options_.conninfo);
      if (!connection) return std::unexpected(connection.error());
      connection_ = std::move(*connection);
    }
    auto zone =
        query(connection_.get(), "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET client_min_messages = warning");
    auto rows = !zone ? std::move(zone)
                      : query(connection_.get(),
                              fmt::format("SELECT lsn, data FROM pg_logical_slot_get_changes('{}', NULL, {}, "
                                          "'include-timestamp', '1', 'include-xids', '0', 'skip-empty-xacts', '1')",
                                          options_.slot, kChangesPerRead));
    if (!rows) {
      connection_.reset();
      return std::unexpected(rows.error());
    }
    const int count = PQntuples(rows->get());
    for (int i = 0; i < count && !broken_; ++i) {
      take_line(PQgetvalue(rows->get(), i, 0), PQgetvalue(rows->get(), i, 1));
    }
    return count;
  }

  void take_line(const char* lsn_text, const std::string& line) {
    transaction_.push_back(line);
    if (!line.starts_with("COMMIT")) return;
    const auto lsn = Lsn::parse(lsn_text);
    if (!lsn) broken_ = Error{ErrorCode::kCorrupt, fmt::format("the slot gave the LSN '{}'", lsn_text)};
    if (lsn && *lsn > last_commit_) {
      last_commit_ = *lsn;
      for (const std::string& part : transaction_) {
        if (auto status = stream_.feed(part); !status && !broken_) broken_ = status.error();
      }
      auto commits = stream_.take_commits();
      count_ += commits.size();
      std::move(commits.begin(), commits.end(), std::back_inserter(commits_));
    }
    transaction_.clear();
  }

  Options options_;
  CommitStream stream_;
  Connection connection_;
  std::vector<std::string> transaction_;  // lines of the transaction that has not come to its COMMIT
  Lsn last_commit_;
  std::vector<RowCommit> commits_;
  std::optional<Error> broken_;
  std::atomic<uint64_t> count_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool is_stopped_ = false;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<CommitReader>> CommitReader::create(Options options) {
  auto reader = std::make_unique<Reader>(std::move(options));
  if (auto status = reader->begin(); !status) return std::unexpected(status.error());
  return reader;
}

}  // namespace tidemark::bench
