#include "base/io/row_id_source.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/io/random_source.h"
#include "base/io/system_clock.h"
#include "base/topology/lane_leases.h"

namespace tidemark::io {
namespace {

constexpr auto kKeepPeriod = std::chrono::seconds(1);  // how often the own thread looks whether a renewal is due
constexpr size_t kHolderBytes = 8;

class LeasedSource final : public RowIdSource {
 public:
  LeasedSource(TopologyStoreFile store, std::string owner, WallClock clock)
      : store_(std::move(store)),
        owner_(std::move(owner)),
        holder_(random_hex(kHolderBytes)),
        clock_(clock ? std::move(clock) : WallClock(unix_now)) {}

  ~LeasedSource() override {
    {
      std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    wake_.notify_all();
    if (keeper_.joinable()) keeper_.join();
    give_back();
  }

  Status start() {
    if (Status taken = take(); !taken) return taken;
    keeper_ = std::thread([this] { keep(); });
    return {};
  }

  Result<RowId> next(Bucket bucket) override {
    for (int waits = 0; waits <= kWaitsMax; ++waits) {
      Step step = try_next(bucket);
      if (step.id) return *step.id;
      if (step.error) return std::unexpected(*step.error);
      std::this_thread::sleep_for(std::chrono::milliseconds(step.wait_ms));
    }
    ++failures_busy_;
    return fail(ErrorCode::kResourceExhausted, "bucket " + std::to_string(bucket) + " makes more than " +
                                                   std::to_string(kRowIdSequences) + " row ids a millisecond");
  }

  Result<RowId> next_root() override { return next(bucket_of_random(random_u64())); }

  void observe(const Topology& topology) override {
    std::lock_guard lock(mutex_);
    // An older topology than the lease's own says nothing.
    if (!ids_ || topology.version <= lease_version_ || is_lane_held_by(topology, ids_->lane(), holder_)) return;
    lose(topology);
  }

  Status keep_lease() override {
    std::lock_guard one_at_a_time(keep_mutex_);
    bool is_held;
    {
      std::lock_guard lock(mutex_);
      if (is_name_taken_) return std::unexpected(no_lease());
      is_held = ids_.has_value();
      if (is_held && ids_->until().value - clock_().value > kLaneLeaseMs - kLaneRenewAfterMs) return {};
    }
    return is_held ? renew() : take();
  }

  uint32_t lane() const override {
    std::lock_guard lock(mutex_);
    return ids_ ? ids_->lane() : last_lane_;
  }

  std::vector<MetricFamily> metrics() const override {
    auto value = [](auto number) { return static_cast<double>(number); };
    std::lock_guard lock(mutex_);
    double seconds_left = ids_ ? value(ids_->until().value - clock_().value) / 1000 : 0;
    return {{"tidemark_row_ids_total", "Row ids made", MetricFamily::Kind::kCounter, {{.value = value(made_)}}},
            {"tidemark_row_id_failures_total",
             "Row ids that could not be made",
             MetricFamily::Kind::kCounter,
             {{.labels = {{"reason", "no_lease"}}, .value = value(failures_lease_)},
              {.labels = {{"reason", "clock_back"}}, .value = value(failures_clock_)},
              {.labels = {{"reason", "busy_bucket"}}, .value = value(failures_busy_.load())}}},
            {"tidemark_row_id_lane",
             "Lane of row ids of this process; -1: none",
             MetricFamily::Kind::kGauge,
             {{.value = ids_ ? value(ids_->lane()) : -1}}},
            {"tidemark_row_id_lease_seconds",
             "Time until the lane's lease ends",
             MetricFamily::Kind::kGauge,
             {{.value = seconds_left}}}};
  }

 private:
  struct Step {
    std::optional<RowId> id{};
    std::optional<Error> error{};
    int64_t wait_ms = 0;
  };

  Step try_next(Bucket bucket) {
    std::lock_guard lock(mutex_);
    if (!ids_) {
      ++failures_lease_;
      return {.error = no_lease()};
    }
    RowIdGenerator::Outcome outcome = ids_->next(bucket, clock_());
    if (const auto* id = std::get_if<RowId>(&outcome)) {
      ++made_;
      return {.id = *id};
    }
    if (const auto* wait = std::get_if<RowIdWait>(&outcome)) return {.wait_ms = wait->for_ms};
    if (const auto* back = std::get_if<RowIdClockBack>(&outcome)) {
      ++failures_clock_;
      return {.error = Error{ErrorCode::kUnavailable, "row ids: the system's clock is " + std::to_string(back->by_ms) +
                                                          " ms behind the newest id; none is made until it has caught "
                                                          "up"}};
    }
    ++failures_lease_;
    is_wanted_ = true;
    wake_.notify_all();
    return {.error = no_lease()};
  }

  // Call with the mutex held.
  Error no_lease() const {
    std::string why = reason_.empty() ? "it ran out while this process did not run" : reason_;
    return {ErrorCode::kUnavailable, "row ids: no lease of a lane: " + why};
  }

  void lose(const Topology& topology) {
    last_lane_ = ids_->lane();
    reason_ = "lane " + std::to_string(last_lane_) + " was taken by another process";
    auto lease = std::ranges::find(topology.lanes, last_lane_, &LaneLease::lane);
    is_name_taken_ = lease != topology.lanes.end() && lease->owner == owner_;
    if (is_name_taken_) {
      reason_ += " of the same name, \"" + owner_ + "\"; names of instances must differ (--instance)";
    } else if (lease != topology.lanes.end()) {
      reason_ += ", \"" + lease->owner + "\", after the lease had run out";
    }
    ids_.reset();
  }

  // The store call is made without the lock: ids go on meanwhile.
  Status take() {
    LaneGrant grant;
    Result<Topology> stored = store_.update([&](Topology& topology) -> Status {
      if (topology.version == 0)
        return fail(ErrorCode::kNotFound, store_.directory().string() + " holds no topology; run tidemarkctl init");
      Result<LaneGrant> taken = take_lane(topology, owner_, holder_, clock_());
      if (!taken) return std::unexpected(taken.error());
      grant = *taken;
      return {};
    });
    std::lock_guard lock(mutex_);
    if (!stored) {
      reason_ = stored.error().message;
      return std::unexpected(stored.error().with_context("row ids"));
    }
    ids_.emplace(grant.lane, grant.span);
    lease_version_ = stored->version;
    reason_.clear();
    return {};
  }

  Status renew() {
    UnixMillis until;
    std::optional<Topology> refused_by;
    Result<Topology> stored = store_.update([&](Topology& topology) -> Status {
      Result<UnixMillis> renewed = renew_lane(topology, lane(), holder_, clock_());
      if (!renewed) refused_by = topology;
      if (!renewed) return std::unexpected(renewed.error());
      until = *renewed;
      return {};
    });
    std::lock_guard lock(mutex_);
    if (stored) {
      if (!ids_) return {};  // observe() was told of a still newer version
      ids_->extend(until);
      lease_version_ = stored->version;
      reason_.clear();
      return {};
    }
    if (refused_by && ids_) {
      lose(*refused_by);
    } else if (!refused_by) {
      reason_ = "it could not be renewed: " + stored.error().message;  // it holds until its end; the next try is near
    }
    return std::unexpected(stored.error().with_context("row ids"));
  }

  void give_back() {
    if (!ids_) return;
    (void)store_.update([&](Topology& topology) -> Status {
      give_back_lane(topology, ids_->lane(), holder_, ids_->unused_from());
      return {};
    });
  }

  void keep() {
    std::unique_lock lock(mutex_);
    while (!is_stopping_) {
      wake_.wait_for(lock, kKeepPeriod, [&] { return is_stopping_ || is_wanted_; });
      if (is_stopping_) return;
      bool was_wanted = std::exchange(is_wanted_, false);
      lock.unlock();
      Status kept = keep_lease();
      lock.lock();
      // Callers that ask again and again must not make it ask the store again and again.
      if (!kept && was_wanted) wake_.wait_for(lock, kKeepPeriod, [&] { return is_stopping_; });
    }
  }

  const TopologyStoreFile store_;
  const std::string owner_, holder_;
  const WallClock clock_;
  std::mutex keep_mutex_;     // taken before mutex_
  mutable std::mutex mutex_;  // everything below
  std::optional<RowIdGenerator> ids_;
  uint64_t lease_version_ = 0;  // of the topology in which the lease was written last
  uint32_t last_lane_ = 0;
  std::string reason_;  // why there is no lease, or why it could not be renewed
  bool is_name_taken_ = false, is_stopping_ = false, is_wanted_ = false;
  uint64_t made_ = 0, failures_lease_ = 0, failures_clock_ = 0;
  std::atomic<uint64_t> failures_busy_ = 0;
  std::condition_variable wake_;
  std::thread keeper_;
};

}  // namespace

Result<std::shared_ptr<RowIdSource>> RowIdSource::lease(TopologyStoreFile store, std::string owner, WallClock clock) {
  auto source = std::make_shared<LeasedSource>(std::move(store), std::move(owner), std::move(clock));
  if (Status started = source->start(); !started) return std::unexpected(started.error());
  return source;
}

std::string instance_name(std::string_view configured, std::string_view program) {
  return configured.empty() ? std::string(program) + "-" + random_hex(kHolderBytes) : std::string(configured);
}

}  // namespace tidemark::io
