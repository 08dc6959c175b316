#include "base/io/admin_http.h"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <nlohmann/json.hpp>
#include <thread>

namespace tidemark::io {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kAcceptPause = std::chrono::milliseconds(100);  // after an accept error such as "too many open files"

prometheus::MetricType type_of(MetricFamily::Kind kind) {
  switch (kind) {
    case MetricFamily::Kind::kCounter:
      return prometheus::MetricType::Counter;
    case MetricFamily::Kind::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricFamily::Kind::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric to_prometheus(const MetricSample& sample, MetricFamily::Kind kind) {
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : sample.labels) metric.label.push_back({name, value});
  switch (kind) {
    case MetricFamily::Kind::kCounter:
      metric.counter.value = sample.value;
      break;
    case MetricFamily::Kind::kGauge:
      metric.gauge.value = sample.value;
      break;
    case MetricFamily::Kind::kHistogram:
      metric.histogram.sample_count = sample.count;
      metric.histogram.sample_sum = sample.sum;
      for (auto [bound, count] : sample.cumulative_buckets) metric.histogram.bucket.push_back({count, bound});
      metric.histogram.bucket.push_back({sample.count, std::numeric_limits<double>::infinity()});
      break;
  }
  return metric;
}

std::string scrape(const AdminHttp::Options& options) {
  std::vector<prometheus::MetricFamily> all;
  for (const auto& collectable : options.collectables) {
    auto families = collectable->Collect();
    all.insert(all.end(), families.begin(), families.end());
  }
  for (const MetricSource& source : options.sources) {
    for (const MetricFamily& family : source()) {
      prometheus::MetricFamily out{family.name, family.help, type_of(family.kind), {}};
      for (const MetricSample& sample : family.samples) out.metric.push_back(to_prometheus(sample, family.kind));
      all.push_back(std::move(out));
    }
  }
  return prometheus::TextSerializer().Serialize(all);
}

std::string response(std::string_view status, std::string_view type, const std::string& body) {
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Type: " + std::string(type) +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
}

std::string answer_ready(const AdminHttp::Options& options) {
  Readiness readiness = options.readiness();
  bool is_ready = readiness.reasons_against.empty();
  nlohmann::ordered_json body = {{"ready", is_ready}, {"reasons", readiness.reasons_against}};
  return response(is_ready ? "200 OK" : "503 Service Unavailable", "application/json",
                  body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

std::string answer(const AdminHttp::Options& options, std::string_view request) {
  std::string_view line = request.substr(0, request.find("\r\n"));
  size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last || !line.substr(last + 1).starts_with("HTTP/1.")) {
    return response("400 Bad Request", "text/plain", "this is no HTTP/1.x request\n");
  }
  if (line.substr(0, first) != "GET")
    return response("405 Method Not Allowed", "text/plain", "only GET is served here\n");
  std::string_view target = line.substr(first + 1, last - first - 1);
  target = target.substr(0, target.find('?'));
  if (target == "/metrics") return response("200 OK", "text/plain; version=0.0.4; charset=utf-8", scrape(options));
  if (target == "/healthz") return response("200 OK", "application/json", "{\"healthy\":true}\n");
  if (target == "/readyz") return answer_ready(options);
  return response("404 Not Found", "text/plain", "there are /metrics, /healthz and /readyz\n");
}

// One connection: read a head, write an answer, close. Shared by its own pending handlers only.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(tcp::socket socket, const AdminHttp::Options& options, size_t& open)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        buffer_(AdminHttp::kRequestBytesMax),
        options_(options),
        open_(open) {
    ++open_;
  }
  ~Exchange() { --open_; }

  void start() {
    timer_.expires_after(AdminHttp::kRequestTimeout);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      error_code ignored;
      if (!error) self->socket_.close(ignored);
    });
    asio::async_read_until(socket_, buffer_, "\r\n\r\n", [self = shared_from_this()](error_code error, size_t) {
      if (error == asio::error::not_found)
        self->send(response("431 Request Header Fields Too Large", "text/plain", "the request is too long\n"));
      else if (error)
        self->timer_.cancel();
      else
        self->send(
            answer(self->options_, {static_cast<const char*>(self->buffer_.data().data()), self->buffer_.size()}));
    });
  }

 private:
  void send(std::string text) {
    text_ = std::move(text);
    asio::async_write(socket_, asio::buffer(text_), [self = shared_from_this()](error_code, size_t) {
      error_code ignored;
      self->socket_.shutdown(tcp::socket::shutdown_send, ignored);
      self->timer_.cancel();
    });
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  asio::streambuf buffer_;
  std::string text_;
  const AdminHttp::Options& options_;
  size_t& open_;
};

class Server : public AdminHttp {
 public:
  explicit Server(Options options) : options_(std::move(options)), acceptor_(context_), pause_(context_) {}
  ~Server() override {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }

  Status listen() {
    error_code error;
    auto address = asio::ip::make_address(options_.host, error);
    std::string place = options_.host + ":" + std::to_string(options_.port);
    if (error) return fail(ErrorCode::kInvalidArgument, "admin HTTP: " + place + ": an IP address is needed");
    tcp::endpoint endpoint(address, options_.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(static_cast<int>(kConnectionsMax), error);
    if (error) return fail(ErrorCode::kUnavailable, "admin HTTP: listen on " + place + ": " + error.message());
    port_ = acceptor_.local_endpoint().port();
    accept();
    thread_ = std::thread([this] { context_.run(); });
    return {};
  }

  uint16_t port() const override { return port_; }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (error) {
        pause_.expires_after(kAcceptPause);
        pause_.async_wait([this](error_code stopped) {
          if (!stopped) accept();
        });
        return;
      }
      if (open_ < kConnectionsMax) std::make_shared<Exchange>(std::move(socket), options_, open_)->start();
      accept();
    });
  }

  Options options_;
  size_t open_ = 0;  // before context_: exchanges that die with it count down here
  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<AdminHttp>> AdminHttp::start(Options options) {
  auto server = std::make_unique<Server>(std::move(options));
  if (Status status = server->listen(); !status) return std::unexpected(status.error());
  return server;
}

}  // namespace tidemark::io
