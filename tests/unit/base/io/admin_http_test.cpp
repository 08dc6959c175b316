#include "base/io/admin_http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

namespace tidemark::io {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using testing::HasSubstr;
using testing::StartsWith;

std::string send_request(uint16_t port, const std::string& request) {
  asio::io_context context;
  tcp::socket socket(context);
  socket.connect({asio::ip::make_address("127.0.0.1"), port});
  boost::system::error_code ignored;
  asio::write(socket, asio::buffer(request), ignored);
  std::string text;
  asio::read(socket, asio::dynamic_buffer(text), ignored);
  return text;
}

std::string get(uint16_t port, const std::string& target) {
  return send_request(port, "GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n");
}

TEST(AdminHttp, ServesMetricsAsPrometheusText) {
  AdminHttp::Options options;
  options.sources.push_back([] {
    return std::vector<MetricFamily>{
        {"hits_total", "Hits.", MetricFamily::Kind::kCounter, {{.labels = {{"worker", "0"}}, .value = 42}}},
        {"load_seconds",
         "Loads.",
         MetricFamily::Kind::kHistogram,
         {{.labels = {}, .cumulative_buckets = {{0.1, 3}, {1, 5}}, .count = 6, .sum = 4.5}}}};
  });
  auto server = AdminHttp::start(std::move(options)).value();
  std::string text = get(server->port(), "/metrics");
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE hits_total counter\nhits_total{worker=\"0\"} 42\n"));
  EXPECT_THAT(text, HasSubstr("load_seconds_bucket{le=\"1\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("load_seconds_bucket{le=\"+Inf\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("load_seconds_sum 4.5\n"));
}

TEST(AdminHttp, SaysWhyTheProgramIsNotReady) {
  AdminHttp::Options options;
  options.readiness = [] { return Readiness{{"no topology yet"}}; };
  auto server = AdminHttp::start(std::move(options)).value();
  std::string text = get(server->port(), "/readyz");
  EXPECT_THAT(text, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(text, HasSubstr(R"({"ready":false,"reasons":["no topology yet"]})"));
  EXPECT_THAT(get(server->port(), "/healthz"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(AdminHttp, IsReadyWhenNothingSpeaksAgainstIt) {
  auto server = AdminHttp::start({}).value();
  std::string text = get(server->port(), "/readyz");
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(text, HasSubstr(R"({"ready":true,"reasons":[]})"));
}

TEST(AdminHttp, RefusesWhatItDoesNotServe) {
  auto server = AdminHttp::start({}).value();
  EXPECT_THAT(get(server->port(), "/nothing"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(send_request(server->port(), "POST /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(send_request(server->port(), "hello\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(send_request(server->port(), "GET /" + std::string(AdminHttp::kRequestBytesMax + 100, 'x')),
              testing::AnyOf(StartsWith("HTTP/1.1 431 "), ""));
}

TEST(AdminHttp, ClosesConnectionsBeyondItsLimitAndServesAgainLater) {
  auto server = AdminHttp::start({}).value();
  asio::io_context context;
  std::vector<tcp::socket> idle;
  for (size_t i = 0; i < AdminHttp::kConnectionsMax; ++i) {
    idle.emplace_back(context).connect({asio::ip::make_address("127.0.0.1"), server->port()});
  }
  EXPECT_EQ(get(server->port(), "/healthz"), "");
  idle.clear();
  std::string text;
  for (int attempt = 0; attempt < 1000 && text.empty(); ++attempt) text = get(server->port(), "/healthz");
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(AdminHttp, SaysWhichAddressIsTaken) {
  auto first = AdminHttp::start({}).value();
  auto second = AdminHttp::start({.port = first->port()});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(second.error().message, HasSubstr("127.0.0.1:" + std::to_string(first->port())));
}

}  // namespace
}  // namespace tidemark::io
