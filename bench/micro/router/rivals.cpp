#include "bench/micro/router/rivals.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <pqxx/pqxx>

#include "base/parse.h"

namespace tidemark::bench {
namespace {

// ------------------------------------------------------------------------------------------------------- libpq
// pipeline
class LibpqPipeline : public Rival {
 public:
  LibpqPipeline(std::vector<RivalStatement> statements, size_t row_index)
      : statements_(std::move(statements)), row_index_(row_index) {}
  ~LibpqPipeline() override {
    for (const Link& link : links_) PQfinish(link.pg);
  }

  Status open(const std::string& conninfo, size_t connections) {
    for (size_t i = 0; i < connections; ++i) {
      PGconn* pg = links_.emplace_back(Link{PQconnectdb(conninfo.c_str())}).pg;
      if (PQstatus(pg) != CONNECTION_OK) return fail(ErrorCode::kUnavailable, PQerrorMessage(pg));
      for (size_t s = 0; s < statements_.size(); ++s) {
        PGresult* result = PQprepare(pg, fmt::format("s{}", s).c_str(), statements_[s].sql.c_str(), 0, nullptr);
        const bool is_ok = PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
        if (!is_ok) return fail(ErrorCode::kInternal, PQerrorMessage(pg));
      }
      if (PQsetnonblocking(pg, 1) != 0 || PQenterPipelineMode(pg) != 1)
        return fail(ErrorCode::kInternal, PQerrorMessage(pg));
    }
    for (size_t s = 0; s < statements_.size(); ++s) names_.push_back(fmt::format("s{}", s));
    return {};
  }

  Status read(size_t reads, size_t depth, const NextKey& next) override {
    const size_t per_link = std::max<size_t>(1, depth / links_.size());
    size_t sent = 0;
    size_t got = 0;
    while (got < reads) {
      std::vector<pollfd> waits;
      for (Link& link : links_) {
        for (; sent < reads && link.in_flight < per_link; ++sent, ++link.in_flight)
          if (Status status = send(link.pg, next()); !status) return status;
        if (PQflush(link.pg) < 0) return fail(ErrorCode::kUnavailable, PQerrorMessage(link.pg));
        waits.push_back({PQsocket(link.pg), POLLIN, 0});
      }
      ::poll(waits.data(), waits.size(), -1);
      for (size_t i = 0; i < links_.size(); ++i) {
        if (waits[i].revents == 0) continue;
        auto done = receive(links_[i]);
        if (!done) return std::unexpected(done.error());
        got += *done;
      }
    }
    return {};
  }

 private:
  struct Link {
    PGconn* pg = nullptr;
    size_t in_flight = 0;
    size_t result = 0;  // of the read that is being received
  };

  Status send(PGconn* pg, int64_t key) {
    for (size_t s = 0; s < statements_.size(); ++s) {
      const std::vector<std::string> params = statements_[s].params(key);
      const char* values[4] = {};
      for (size_t p = 0; p < params.size(); ++p) values[p] = params[p].c_str();
      if (PQsendQueryPrepared(pg, names_[s].c_str(), static_cast<int>(params.size()), values, nullptr, nullptr, 0) != 1)
        return fail(ErrorCode::kInternal, PQerrorMessage(pg));
    }
    if (PQpipelineSync(pg) != 1) return fail(ErrorCode::kInternal, PQerrorMessage(pg));
    return {};
  }

  Result<size_t> receive(Link& link) {
    size_t done = 0;
    if (PQconsumeInput(link.pg) != 1) return fail(ErrorCode::kUnavailable, PQerrorMessage(link.pg));
    while (link.in_flight > 0 && !PQisBusy(link.pg)) {
      PGresult* result = PQgetResult(link.pg);
      if (result == nullptr) continue;
      const ExecStatusType status = PQresultStatus(result);
      const bool is_row = link.result == row_index_;
      const bool is_bad =
          status == PGRES_FATAL_ERROR || (is_row && status == PGRES_TUPLES_OK && PQntuples(result) != 1);
      PQclear(result);
      if (is_bad) return fail(ErrorCode::kInternal, fmt::format("a read failed: {}", PQerrorMessage(link.pg)));
      ++link.result;
      if (status != PGRES_PIPELINE_SYNC) continue;
      link.result = 0;
      --link.in_flight;
      ++done;
    }
    return done;
  }

  std::vector<RivalStatement> statements_;
  size_t row_index_;
  std::vector<std::string> names_;
  std::vector<Link> links_;
};

// ----------------------------------------------------------------------------------------------------------------
// libpqxx
class Libpqxx : public Rival {
 public:
  Libpqxx(const std::string& conninfo, RivalStatement statement, PqxxMode mode)
      : connection_(conninfo), statement_(std::move(statement)), mode_(mode) {
    connection_.prepare("read", statement_.sql);
  }

  Status read(size_t reads, size_t, const NextKey& next) override {
    try {
      for (size_t i = 0; i < reads; ++i) {
        const std::vector<std::string> params = statement_.params(next());
        pqxx::result rows;
        if (mode_ == PqxxMode::kTransaction) {
          pqxx::work work(connection_);
          rows = work.exec_prepared("read", params.at(0), params.at(1));
          work.commit();
        } else {
          pqxx::nontransaction work(connection_);
          rows = work.exec_prepared("read", params.at(0), params.at(1));
        }
        if (rows.size() != 1) return fail(ErrorCode::kInternal, "a row was not there");
      }
      return {};
    } catch (const std::exception& error) {
      return fail(ErrorCode::kUnavailable, error.what());
    }
  }

 private:
  pqxx::connection connection_;
  RivalStatement statement_;
  PqxxMode mode_;
};

// ------------------------------------------------------------------------------------------------------------- plain
// GET
class Resp : public Rival {
 public:
  explicit Resp(std::function<std::string(int64_t)> key_of) : key_of_(std::move(key_of)) {}
  ~Resp() override {
    if (fd_ >= 0) ::close(fd_);
  }

  Status open(uint16_t port) {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      return fail(ErrorCode::kUnavailable, fmt::format("port {}: {}", port, std::strerror(errno)));
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return {};
  }

  // As many requests as may be under way go out in one write; answers are taken as they come.
  Status read(size_t reads, size_t depth, const NextKey& next) override {
    size_t sent = 0;
    size_t got = 0;
    while (got < reads) {
      std::string out;
      for (; sent < reads && sent - got < depth; ++sent) {
        const std::string key = key_of_(next());
        out += fmt::format("*2\r\n$3\r\nGET\r\n${}\r\n{}\r\n", key.size(), key);
      }
      if (!out.empty() && ::send(fd_, out.data(), out.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out.size()))
        return fail(ErrorCode::kUnavailable, "the node does not take the requests");
      char buffer[65536];
      const ssize_t size = ::recv(fd_, buffer, sizeof buffer, 0);
      if (size <= 0) return fail(ErrorCode::kUnavailable, "the node closed the connection");
      in_.append(buffer, static_cast<size_t>(size));
      auto done = take_answers();
      if (!done) return std::unexpected(done.error());
      got += *done;
    }
    return {};
  }

 private:
  // "$5\r\nhello\r\n"
  Result<size_t> take_answers() {
    size_t done = 0;
    size_t at = 0;
    while (true) {
      const size_t end = in_.find("\r\n", at);
      if (end == std::string::npos) break;
      const auto size = in_[at] == '$' ? parse_u64(std::string_view(in_).substr(at + 1, end - at - 1)) : std::nullopt;
      if (!size) return fail(ErrorCode::kInternal, "GET answered " + in_.substr(at, end - at));
      const size_t next = end + 2 + *size + 2;
      if (in_.size() < next) break;
      at = next;
      ++done;
    }
    in_.erase(0, at);
    return done;
  }

  std::function<std::string(int64_t)> key_of_;
  std::string in_;
  int fd_ = -1;
};

}  // namespace

Result<std::unique_ptr<Rival>> open_libpq_pipeline(const std::string& conninfo, std::vector<RivalStatement> statements,
                                                   size_t row_index, size_t connections) {
  auto rival = std::make_unique<LibpqPipeline>(std::move(statements), row_index);
  if (Status opened = rival->open(conninfo, connections); !opened) return std::unexpected(opened.error());
  return rival;
}

Result<std::unique_ptr<Rival>> open_libpqxx(const std::string& conninfo, RivalStatement statement, PqxxMode mode) {
  try {
    return std::make_unique<Libpqxx>(conninfo, std::move(statement), mode);
  } catch (const std::exception& error) {
    return fail(ErrorCode::kUnavailable, error.what());
  }
}

Result<std::unique_ptr<Rival>> open_resp(uint16_t port, std::function<std::string(int64_t)> key_of) {
  auto rival = std::make_unique<Resp>(std::move(key_of));
  if (Status opened = rival->open(port); !opened) return std::unexpected(opened.error());
  return rival;
}

}  // namespace tidemark::bench
